//! What is written where: a live table or a progress bar in a terminal, plain lines elsewhere, or JSON.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use console::{Term, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    arguments::{Arguments, Mode},
    sample::Sample,
    summary::{Figures, Summary},
};

/// As many of the last samples as the live table shows.
const SHOWN: usize = 15;

pub(crate) struct Output {
    form: Form,
    name: String,
}

enum Form {
    Json,
    Lines,
    Table { term: Term, rows: VecDeque<(bool, String)>, drawn: usize },
    Bar(ProgressBar),
}

impl Output {
    pub(crate) fn new(arguments: &Arguments, name: String) -> Self {
        let term = Term::stdout();
        let form = match arguments.mode {
            _ if arguments.json => Form::Json,
            _ if !term.is_term() => Form::Lines,
            Mode::Monitor => Form::Table { term, rows: VecDeque::new(), drawn: 0 },
            Mode::Test => {
                let bar = ProgressBar::with_draw_target(Some(arguments.test_count), ProgressDrawTarget::stdout());
                // The template is a constant; were it wrong, the bar would have its usual form.
                if let Ok(look) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}") {
                    bar.set_style(look);
                }
                Form::Bar(bar)
            }
        };
        Self { form, name }
    }

    pub(crate) fn start(&mut self) -> io::Result<()> {
        match &self.form {
            Form::Json => Ok(()),
            Form::Lines => writeln!(io::stdout(), "{}\n{HEADER}", self.name),
            Form::Table { term, .. } => term.write_line(&self.name),
            Form::Bar(bar) => {
                bar.println(&self.name);
                Ok(())
            }
        }
    }

    pub(crate) fn sample(&mut self, sample: &Sample, summary: &Summary) -> io::Result<()> {
        match &mut self.form {
            Form::Json => writeln!(io::stdout(), "{}", serde_json::to_string(sample)?),
            Form::Lines => writeln!(io::stdout(), "{}", row(sample)),
            Form::Table { term, rows, drawn } => {
                // What does not fit, or is broken into two lines, could not be drawn over.
                let (height, width) = term.size();
                let most = SHOWN.min(usize::from(height).saturating_sub(4).max(1));
                let fitting = |line: &str| console::truncate_str(line, usize::from(width.max(1)), "…").into_owned();
                rows.push_back((sample.up, row(sample)));
                rows.drain(..rows.len().saturating_sub(most));
                term.clear_last_lines(*drawn)?;
                term.write_line(&style(fitting(HEADER)).bold().to_string())?;
                for (up, row) in rows.iter() {
                    let row = fitting(row);
                    term.write_line(&if *up { row } else { style(row).red().to_string() })?;
                }
                term.write_line(&fitting(&brief(&summary.figures())))?;
                *drawn = rows.len() + 2;
                Ok(())
            }
            Form::Bar(bar) => {
                if let Some(error) = &sample.error {
                    bar.println(format!("{}  {}", sample.at, style(error).red()));
                }
                bar.set_message(brief(&summary.figures()));
                bar.set_position(summary.samples);
                Ok(())
            }
        }
    }

    pub(crate) fn end(&mut self, summary: &Summary) -> io::Result<()> {
        let figures = summary.figures();
        match &self.form {
            Form::Json => {
                return writeln!(io::stdout(), "{}", serde_json::json!({ "summary": figures }));
            }
            Form::Bar(bar) => bar.finish_and_clear(),
            Form::Lines | Form::Table { .. } => {}
        }
        writeln!(io::stdout(), "{}", whole(&figures))
    }
}

const HEADER: &str = "time                  state  latency ms  size  out  idle  waiting  reconnects  note";

fn row(sample: &Sample) -> String {
    let state = if sample.up { "up" } else { "down" };
    let latency = sample.latency_ms.map_or_else(|| "-".to_owned(), |latency| format!("{latency:.2}"));
    let pool = sample.pool.map_or_else(
        || format!("{:>4}  {:>3}  {:>4}  {:>7}", "-", "-", "-", "-"),
        |pool| format!("{:>4}  {:>3}  {:>4}  {:>7}", pool.size, pool.checked_out, pool.idle, pool.waiting),
    );
    let note = match (&sample.error, sample.read_only, &sample.page) {
        (Some(error), ..) => error.replace('\n', " "),
        (None, Some(true), _) => "read only".to_owned(),
        (None, _, Some(page)) => page["status"].as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let line = format!("{:<20}  {state:<5}  {latency:>10}  {pool}  {:>10}  {note}", sample.at, sample.reconnects);
    line.trim_end().to_owned()
}

fn brief(figures: &Figures) -> String {
    let latency = figures.latency_ms.as_ref().map_or_else(String::new, |latency| {
        format!(", p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms", latency.p50, latency.p95, latency.p99)
    });
    format!("{:.2} % of {} up{latency}", figures.success_rate, figures.samples)
}

fn whole(figures: &Figures) -> String {
    let mut text = format!(
        "samples     {} in {:.1} s\nup          {:.2} %\nfailed      {}, at most {} in a row\nreconnects  {}",
        figures.samples,
        figures.seconds,
        figures.success_rate,
        figures.failed,
        figures.longest_outage_samples,
        figures.reconnects
    );
    if let Some(latency) = &figures.latency_ms {
        text += &format!(
            "\nlatency     min {:.2}, mean {:.2}, p50 {:.2}, p95 {:.2}, p99 {:.2}, max {:.2} ms",
            latency.min, latency.mean, latency.p50, latency.p95, latency.p99, latency.max
        );
    }
    text
}
