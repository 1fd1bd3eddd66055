//! Who gives a DAO its session.

use std::sync::Arc;

use super::{Session, caller::current};

/// Gives sessions to whoever runs statements: a [`Database`](super::Database) gives new ones, a [`Session`] gives
/// itself. A DAO written against this trait runs on the pool, on a request's session, or inside a transaction.
///
/// Getting a session is free: its connection is taken at the first statement.
pub trait SessionProvider: Send + Sync {
    /// A session that may write.
    fn session(&self) -> Session;

    /// A session for reading. The same as [`session`](Self::session) where there is no replica.
    fn read_session(&self) -> Session {
        self.session()
    }
}

impl SessionProvider for Session {
    /// Another handle of this session and its transaction: no second connection is opened.
    fn session(&self) -> Session {
        let session = self.share();
        match current() {
            Some(line) => session.located_at(line),
            None => session,
        }
    }
}

macro_rules! delegate {
    ($($pointer:ty),+) => {$(
        impl<P: SessionProvider + ?Sized> SessionProvider for $pointer {
            fn session(&self) -> Session {
                (**self).session()
            }

            fn read_session(&self) -> Session {
                (**self).read_session()
            }
        }
    )+};
}

delegate!(&P, Arc<P>, Box<P>);
