//! A connection that ends at a given moment, whatever the other side does.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{FutureExt, future::BoxFuture, future::Fuse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that fails once `over` has come.
pub(super) struct Cut<S> {
    stream: S,
    over: Fuse<BoxFuture<'static, ()>>,
    is_over: bool,
}

impl<S> Cut<S> {
    pub(super) fn after(over: impl Future<Output = ()> + Send + 'static, stream: S) -> Self {
        Self { stream, over: over.boxed().fuse(), is_over: false }
    }

    /// Fails when it is over, and sees to it that the task is woken then.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.is_over |= self.over.poll_unpin(context).is_ready();
        if self.is_over { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cut<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        sync::oneshot,
    };

    use super::Cut;

    #[tokio::test]
    async fn who_does_not_read_is_cut_off() {
        let (end, over) = oneshot::channel::<()>();
        let (mut reader, writer) = duplex(16);
        let mut writer = Cut::after(async { drop(over.await) }, writer);
        writer.write_all(b"read").await.expect("written");
        let mut read = [0; 4];
        reader.read_exact(&mut read).await.expect("read");
        let blocked = tokio::spawn(async move { (writer.write_all(&[0; 1_000]).await, writer.flush().await) });
        // As much as fits is there: the rest waits.
        reader.read_exact(&mut read).await.expect("read");
        end.send(()).expect("it listens");
        let (written, flushed) = blocked.await.expect("no panic");
        assert_eq!(written.expect_err("cut off").kind(), ErrorKind::ConnectionAborted);
        assert!(flushed.is_err(), "and it stays so");
    }
}
