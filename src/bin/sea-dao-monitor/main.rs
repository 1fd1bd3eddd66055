//! Watches a database, or the health page of a service, from a terminal.
//!
//! Exit codes: 0, every sample was up; 1, some were not, or there was none; 2, the arguments make no sense; 3, the output could not be written.

mod arguments;
mod output;
mod sample;
mod summary;
mod target;

use std::{io, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use sea_dao::lifecycle::shutdown_signal;
use tokio::time::{Instant, sleep_until};

use arguments::{Arguments, Mode};
use output::Output;
use summary::Summary;
use target::Target;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let target = match arguments.target() {
        Ok(target) => target,
        Err(error) => Arguments::command().error(ErrorKind::ValueValidation, error).exit(),
    };
    let watched = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        let watched = runtime.block_on(watch(&arguments, target));
        // A question that is still under way on a thread of its own does not hold up the end.
        runtime.shutdown_background();
        watched
    });
    match watched {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Who reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(3),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.kind() == io::ErrorKind::InvalidInput { 2 } else { 3 })
        }
    }
}

/// Takes samples until there were enough or a signal comes; whether all were up.
async fn watch(arguments: &Arguments, mut target: Target) -> io::Result<bool> {
    let wanted = match arguments.mode {
        Mode::Monitor => arguments.count,
        Mode::Test => Some(arguments.test_count),
    };
    let interval = Duration::from_secs_f64(match arguments.mode {
        Mode::Monitor => arguments.interval,
        Mode::Test => arguments.test_interval,
    });
    let mut output = Output::new(arguments, target.name());
    let mut summary = Summary::default();
    let signal = shutdown_signal();
    tokio::pin!(signal);

    output.start()?;
    let mut next = Instant::now();
    while wanted.is_none_or(|wanted| summary.samples < wanted) {
        let sample = tokio::select! {
            sample = target.sample() => sample.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
            _ = &mut signal => break,
        };
        summary.add(&sample);
        output.sample(&sample, &summary)?;
        if wanted == Some(summary.samples) {
            break;
        }
        // After an answer that took long there is a pause all the same, not a burst.
        next = Instant::max(next + interval, Instant::now());
        tokio::select! {
            () = sleep_until(next) => {}
            _ = &mut signal => break,
        }
    }
    target.close().await;
    output.end(&summary)?;
    Ok(summary.samples > 0 && summary.failed() == 0)
}
