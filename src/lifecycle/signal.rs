//! The signal that ends a program.

use std::io;

/// Waits for the signal that ends the program: SIGTERM or SIGINT on Unix, Ctrl-C elsewhere. Gives its name.
///
/// ```no_run
/// # use sea_dao::lifecycle::{Lifecycle, shutdown_signal};
/// # async fn serve() {}
/// # async fn example(lifecycle: Lifecycle) -> std::io::Result<()> {
/// tokio::select! {
///     () = serve() => {}
///     signal = shutdown_signal() => println!("{}: closing", signal?),
/// }
/// println!("{}", lifecycle.close().await);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the operating system refuses to register a handler.
///
/// # Cancel safety
///
/// A signal that arrives after the future was dropped is not seen.
pub async fn shutdown_signal() -> io::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        })
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await?;
        Ok("Ctrl-C")
    }
}
