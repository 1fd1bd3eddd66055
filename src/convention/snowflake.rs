//! 64-bit ids from the time, a node number and a counter.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sea_orm::Value;

use super::IdGenerator;
use crate::error::{Error, Result};

const NODES: u16 = 1024;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
const TIME_BITS: u32 = 41;

/// 2024-01-01T00:00:00Z, in milliseconds since 1970. The ids last for 69 years from then.
const EPOCH: u64 = 1_704_067_200_000;

/// How far the counter may run ahead of the clock, in milliseconds.
const MOST_AHEAD: u64 = 1_000;

/// Where the process's node number may stand.
const VARIABLE: &str = "SNOWFLAKE_NODE";

/// Ids of 63 bits that sort by when they were made: 41 bits of milliseconds since 2024, 10 bits of a node number, and a
/// counter of 12 bits, as Twitter laid them out.
///
/// There is one generator for each node number in the process, shared by all who ask for it, without a lock. It never
/// repeats an id: when the clock stands still, or steps back, or more than 4 096 ids are asked for in a millisecond, the
/// counter runs on into the time bits. More than a second ahead of the clock it refuses instead.
///
/// Two processes with the same node number can make the same id at the same time, and so can a process that is started
/// again within a second of a clock that stepped back; the primary key refuses the second row then. Give each process
/// a number of its own.
///
/// ```
/// use sea_dao::convention::{IdGenerator, Snowflake};
/// # use sea_dao::Result;
///
/// # fn main() -> Result<()> {
/// let ids = Snowflake::of_node(7)?;
/// assert_ne!(ids.next_id()?, ids.next_id()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Snowflake {
    node: u16,
    /// The milliseconds and the counter that were given last.
    last: AtomicU64,
}

static GENERATORS: [Snowflake; NODES as usize] = {
    let mut generators = [const { Snowflake { node: 0, last: AtomicU64::new(0) } }; NODES as usize];
    let mut node = 0;
    while node < NODES {
        generators[node as usize].node = node;
        node += 1;
    }
    generators
};

static NODE_OF_PROCESS: OnceLock<u16> = OnceLock::new();

impl Snowflake {
    /// The generator with this node number, from 0 to 1023.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] beyond 1023.
    pub fn of_node(node: u16) -> Result<&'static Self> {
        GENERATORS
            .get(usize::from(node))
            .ok_or_else(|| Error::argument("snowflake node", node, format!("0 to {}", NODES - 1)))
    }

    /// The generator with the process's node number: what [`set_node_of_process`](Self::set_node_of_process) said, else
    /// the variable `SNOWFLAKE_NODE`, else a number made of the host's name and the process's id, which another process
    /// has too with a chance of 1 in 1024.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the variable is not a number from 0 to 1023.
    pub fn of_process() -> Result<&'static Self> {
        let node = match NODE_OF_PROCESS.get() {
            Some(node) => *node,
            None => {
                let found = node_of(std::env::var(VARIABLE).ok().as_deref())?;
                *NODE_OF_PROCESS.get_or_init(|| found)
            }
        };
        Self::of_node(node)
    }

    /// Says the process's node number, at its start.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] beyond 1023, or when another number is in use already.
    pub fn set_node_of_process(node: u16) -> Result<()> {
        Self::of_node(node)?;
        match *NODE_OF_PROCESS.get_or_init(|| node) {
            used if used == node => Ok(()),
            used => Err(Error::argument("snowflake node", node, format!("{used}, which is in use already"))),
        }
    }

    /// The node number.
    #[must_use]
    pub fn node(&self) -> u16 {
        self.node
    }

    /// A new id, by what `clock` says are the milliseconds since 1970.
    fn next_by(&self, clock: impl Fn() -> u64) -> Result<i64> {
        let clock = clock();
        let behind = |by| Error::ClockBehind { by: Duration::from_millis(by) };
        let now = clock.checked_sub(EPOCH).ok_or_else(|| behind(EPOCH - clock))?;
        let first = now << SEQUENCE_BITS;
        let most = (now + MOST_AHEAD) << SEQUENCE_BITS;
        let next = |last: u64| Some(first.max(last + 1)).filter(|next| *next <= most);
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .map_err(|last| behind((last >> SEQUENCE_BITS).saturating_sub(now)))?;
        let given = first.max(last + 1);
        let (time, count) = (given >> SEQUENCE_BITS, given & ((1 << SEQUENCE_BITS) - 1));
        if time >> TIME_BITS != 0 {
            return Err(Error::unsupported("snowflake ids after the year 2093"));
        }
        let id = time << (NODE_BITS + SEQUENCE_BITS) | u64::from(self.node) << SEQUENCE_BITS | count;
        Ok(id.cast_signed())
    }
}

impl IdGenerator for Snowflake {
    fn next_id(&self) -> Result<Value> {
        self.next_by(milliseconds).map(Value::from)
    }
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX >> (SEQUENCE_BITS + 1))
}

fn node_of(configured: Option<&str>) -> Result<u16> {
    let Some(text) = configured.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(node_of_host()) };
    match text.parse() {
        Ok(node) if node < NODES => Ok(node),
        _ => Err(Error::config(VARIABLE, text, format!("0 to {}", NODES - 1))),
    }
}

fn node_of_host() -> u16 {
    let mut hasher = DefaultHasher::new();
    // Without a name the process's id is all there is.
    hostname::get().ok().hash(&mut hasher);
    process::id().hash(&mut hasher);
    u16::try_from(hasher.finish() % u64::from(NODES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::atomic::{AtomicU64, Ordering},
        thread,
        time::Duration,
    };

    use super::{EPOCH, MOST_AHEAD, Snowflake, node_of};
    use crate::error::Error;

    const START: u64 = EPOCH + 1_000_000;

    fn generator(node: u16) -> Snowflake {
        Snowflake { node, last: AtomicU64::new(0) }
    }

    #[test]
    fn an_id_holds_time_node_and_count() {
        let ids = generator(1023);
        let first = ids.next_by(|| START).expect("a value");
        assert_eq!(first, (1_000_000 << 22) | (1023 << 12));
        assert_eq!(ids.next_by(|| START).expect("a value"), first + 1);
        assert_eq!(ids.next_by(|| START + 1).expect("a value"), (1_000_001 << 22) | (1023 << 12));
    }

    #[test]
    fn a_clock_that_steps_back_repeats_nothing() {
        let ids = generator(3);
        let mut given = HashSet::new();
        let mut last = 0;
        for now in [START, START - 400, START - 900, START, START - 1, START + 5, START - 3] {
            for _ in 0..10_000 {
                let id = ids.next_by(|| now).expect("a value");
                assert!(id > last && given.insert(id), "{id} after {last} at {now}");
                assert_eq!(id >> 12 & 1023, 3, "the counter does not run into the node");
                last = id;
            }
        }
    }

    #[test]
    fn a_clock_that_steps_far_back_is_refused_until_it_is_near() {
        let ids = generator(0);
        let before = ids.next_by(|| START).expect("a value");
        let refused = ids.next_by(|| START - MOST_AHEAD - 1).expect_err("a refusal");
        assert!(
            matches!(refused, Error::ClockBehind { by } if by == Duration::from_millis(MOST_AHEAD + 1)),
            "{refused}"
        );
        assert!(matches!(ids.next_by(|| EPOCH - 5), Err(Error::ClockBehind { .. })));
        assert!(ids.next_by(|| START - MOST_AHEAD + 1).expect("a value") > before);
    }

    #[test]
    fn threads_never_get_the_same_id() {
        let ids = generator(9);
        // Each look at the clock sees it somewhere else, often further back.
        let looks = AtomicU64::new(0);
        let clock = || START + looks.fetch_add(1, Ordering::Relaxed) * 7_919 % 500;
        let all: Vec<i64> = thread::scope(|scope| {
            let work = || (0..50_000).map(|_| ids.next_by(clock).expect("a value")).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 200_000);
    }

    #[test]
    fn there_is_one_generator_for_each_node() {
        for node in [0, 7, 1023] {
            let one = Snowflake::of_node(node).expect("a value");
            assert_eq!(one.node(), node);
            assert!(std::ptr::eq(one, Snowflake::of_node(node).expect("a value")));
        }
        assert!(matches!(Snowflake::of_node(1024), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn a_node_from_the_environment_is_checked() {
        assert_eq!(node_of(Some(" 12 ")).expect("a value"), 12);
        for text in ["1024", "-1", "x"] {
            assert!(matches!(node_of(Some(text)), Err(Error::Config { setting: "SNOWFLAKE_NODE", .. })), "{text}");
        }
        assert_eq!(
            node_of(None).expect("a value"),
            node_of(Some("")).expect("a value"),
            "the host's own stays the same"
        );
    }
}
