//! A TCP proxy between client and server that counts, delays, cuts and swallows.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::sleep,
};
use url::Url;

use crate::{
    protocol::{Protocol, Reader},
    support::PATIENCE,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer = 0,
    ToClient = 1,
}

/// What the proxy does to what passes it.
#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    latency: [Duration; 2],
    held: [bool; 2],
    held_after: Option<u64>,
    refusing: bool,
    /// New connections wait for their server.
    stalling: bool,
    /// Connections with a lower number are closed.
    cut_below: u64,
    /// Connections with a lower number have lost their server, without a word to their client.
    half_open_below: u64,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    open: Mutex<BTreeSet<u64>>,
    refused: AtomicU64,
    round_trips: AtomicU64,
    /// Of the connections from the first one on.
    statements: Mutex<Vec<u64>>,
    goodbyes: AtomicU64,
}

impl Counts {
    /// The numbers of the connections that are open.
    fn open(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.open.lock().expect("no panic meanwhile")
    }
}

/// A proxy on a port of its own. It ends with its handle, and its connections with it.
pub(crate) struct Proxy {
    url: String,
    mode: watch::Sender<Mode>,
    counts: Arc<Counts>,
    listener: JoinHandle<()>,
}

impl Proxy {
    /// In front of the server that `url` names.
    pub(crate) async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).expect("the server's URL");
        let default_port = if url.scheme() == "postgres" { 5432 } else { 3306 };
        let host = url.host_str().expect("a host").to_owned();
        let server = (host, url.port().unwrap_or(default_port));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(address.port())).expect("a port");
        let mode = watch::Sender::new(Mode::default());
        let counts = Arc::new(Counts::default());
        let protocol = if url.scheme() == "postgres" { Protocol::Postgres } else { Protocol::MySql };
        let accepting = accept(listener, (server, protocol), mode.subscribe(), counts.clone());
        Self { url: url.into(), mode, counts, listener: tokio::spawn(accepting) }
    }

    /// The server's URL through the proxy.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How often a client began to send after an answer: its round trips.
    pub(crate) fn round_trips(&self) -> u64 {
        self.counts.round_trips.load(Ordering::SeqCst)
    }

    /// The statements that were sent through each connection, the first one first; those by which the driver sets a
    /// connection up are among them.
    pub(crate) fn statements(&self) -> Vec<u64> {
        self.counts.statements.lock().expect("no panic meanwhile").clone()
    }

    /// Connections that were made through it.
    pub(crate) fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Clients that have said that they go.
    pub(crate) fn goodbyes(&self) -> u64 {
        self.counts.goodbyes.load(Ordering::SeqCst)
    }

    /// Connections that were closed at once.
    pub(crate) fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::SeqCst)
    }

    /// Connections through it that are open.
    pub(crate) fn open(&self) -> u64 {
        self.counts.open().len() as u64
    }

    /// Everything in this direction takes longer from now on.
    pub(crate) fn delay(&self, direction: Direction, latency: Duration) {
        self.mode.send_modify(|mode| mode.latency[direction as usize] = latency);
    }

    /// Nothing passes in this direction until [`heal`](Self::heal); new connections are accepted.
    pub(crate) fn hold(&self, direction: Direction) {
        self.mode.send_modify(|mode| mode.held[direction as usize] = true);
    }

    /// After so many round trips in all, nothing passes any more until [`heal`](Self::heal).
    pub(crate) fn hold_after(&self, round_trips: u64) {
        self.mode.send_modify(|mode| mode.held_after = Some(round_trips));
    }

    /// Nothing passes at all until [`heal`](Self::heal); new connections are accepted.
    pub(crate) fn blackhole(&self) {
        self.mode.send_modify(|mode| mode.held = [true; 2]);
    }

    /// New connections are closed at once until [`heal`](Self::heal).
    pub(crate) fn refuse(&self) {
        self.mode.send_modify(|mode| mode.refusing = true);
    }

    /// New connections are accepted and get no answer until [`heal`](Self::heal); those that are open go on.
    pub(crate) fn stall(&self) {
        self.mode.send_modify(|mode| mode.stalling = true);
    }

    /// Closes every connection that is open, and waits until both ends are closed.
    pub(crate) async fn cut(&self) {
        let accepted = self.accepted();
        self.mode.send_modify(|mode| mode.cut_below = accepted);
        let started = Instant::now();
        while self.counts.open().range(..accepted).next().is_some() {
            assert!(started.elapsed() < PATIENCE, "they are still open");
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Every connection that is open loses its server; its client is not told and never gets an answer.
    pub(crate) fn half_open(&self) {
        let accepted = self.accepted();
        self.mode.send_modify(|mode| mode.half_open_below = accepted);
    }

    /// Everything passes again, what was held included.
    pub(crate) fn heal(&self) {
        self.mode.send_modify(|mode| {
            *mode = Mode { cut_below: mode.cut_below, half_open_below: mode.half_open_below, ..Mode::default() };
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.mode.send_modify(|mode| mode.cut_below = u64::MAX);
    }
}

type Server = ((String, u16), Protocol);

async fn accept(listener: TcpListener, server: Server, mode: watch::Receiver<Mode>, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        if mode.borrow().refusing {
            counts.refused.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let number = counts.accepted.load(Ordering::SeqCst);
        counts.open().insert(number);
        counts.statements.lock().expect("no panic meanwhile").push(0);
        counts.accepted.store(number + 1, Ordering::SeqCst);
        let (server, mode, counts) = (server.clone(), mode.clone(), counts.clone());
        tokio::spawn(async move {
            connection(client, server, number, mode, &counts).await;
            counts.open().remove(&number);
        });
    }
}

async fn connection(
    mut client: TcpStream,
    (server, protocol): Server,
    number: u64,
    mode: watch::Receiver<Mode>,
    counts: &Counts,
) {
    // The proxy may end meanwhile.
    let _ = mode.clone().wait_for(|mode| !mode.stalling).await;
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut cut, mut half_open) = (mode.clone(), mode.clone());
    let was_cut = cut.wait_for(|mode| number < mode.cut_below);
    let survives = {
        let answered = AtomicBool::new(true);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut reader = Reader::new(protocol);
        let count = |bytes: &[u8]| {
            let had_gone = reader.said_goodbye;
            let sent = reader.read(bytes);
            counts.goodbyes.fetch_add(u64::from(reader.said_goodbye && !had_gone), Ordering::SeqCst);
            counts.statements.lock().expect("no panic meanwhile")[number as usize] += sent;
        };
        let there = pump(from_client, to_server, Direction::ToServer, mode.clone(), &answered, counts, count);
        let back = pump(from_server, to_client, Direction::ToClient, mode.clone(), &answered, counts, |_| {});
        tokio::select! {
            () = there => false,
            () = back => false,
            _ = was_cut => false,
            _ = half_open.wait_for(|mode| number < mode.half_open_below) => true,
        }
    };
    if survives {
        drop(server);
        let mut buffer = [0; 1024];
        let mut cut = mode.clone();
        tokio::select! {
            _ = cut.wait_for(|mode| number < mode.cut_below) => {}
            () = async { while client.read(&mut buffer).await.is_ok_and(|length| length > 0) {} } => {}
        }
    }
}

/// Forwards until one side closes.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    mut mode: watch::Receiver<Mode>,
    answered: &AtomicBool,
    counts: &Counts,
    mut read: impl FnMut(&[u8]),
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        read(&buffer[..length]);
        match direction {
            Direction::ToServer if answered.swap(false, Ordering::SeqCst) => {
                counts.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            Direction::ToServer => {}
            Direction::ToClient => answered.store(true, Ordering::SeqCst),
        }
        let latency = mode.borrow().latency[direction as usize];
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let over = |limit: Option<u64>| limit.is_some_and(|limit| counts.round_trips.load(Ordering::SeqCst) > limit);
        if mode.wait_for(|mode| !mode.held[direction as usize] && !over(mode.held_after)).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
