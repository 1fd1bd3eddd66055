//! Settings that have proved themselves for kinds of programs.

use std::time::Duration;

use super::{PoolConfig, PrePing};

impl PoolConfig {
    /// For development: 5 connections, 10 more, replaced after 1 800 s.
    #[must_use]
    pub fn development() -> Self {
        Self::preset(5, 10, 1800)
    }

    /// For a test environment: 10 connections, 15 more, replaced after 3 600 s.
    #[must_use]
    pub fn testing() -> Self {
        Self::preset(10, 15, 3600)
    }

    /// For production: 20 connections, 40 more, replaced after 1 800 s, always checked when they were idle.
    #[must_use]
    pub fn production() -> Self {
        Self { pool_pre_ping: PrePing::IfIdleFor(Duration::from_millis(500)), ..Self::preset(20, 40, 1800) }
    }

    /// For a web service: 15 connections, 20 more, 30 s of waiting, replaced after 1 800 s.
    #[must_use]
    pub fn web() -> Self {
        Self::preset(15, 20, 1800).pool_timeout(Duration::from_secs(30))
    }

    /// For a background worker: 5 connections, 10 more, 60 s of waiting, replaced after 3 600 s.
    #[must_use]
    pub fn worker() -> Self {
        Self::preset(5, 10, 3600).pool_timeout(Duration::from_secs(60))
    }

    /// For a database server with so many cores and disks: `min(32, cores × 2 + spindles)` connections, and twice as many
    /// more. The first is [PostgreSQL's rule of thumb](https://wiki.postgresql.org/wiki/Number_Of_Database_Connections).
    #[must_use]
    pub fn for_cores(cores: u32, spindles: u32) -> Self {
        let size = cores.saturating_mul(2).saturating_add(spindles).clamp(1, 32);
        Self::default().pool_size(size).max_overflow(size * 2)
    }

    fn preset(pool_size: u32, max_overflow: u32, recycle_seconds: u64) -> Self {
        Self::default()
            .pool_size(pool_size)
            .max_overflow(max_overflow)
            .pool_recycle(Duration::from_secs(recycle_seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::PoolConfig;

    #[test]
    fn every_preset_is_valid() {
        for preset in [
            PoolConfig::development(),
            PoolConfig::testing(),
            PoolConfig::production(),
            PoolConfig::web(),
            PoolConfig::worker(),
            PoolConfig::for_cores(0, 0),
            PoolConfig::for_cores(u32::MAX, u32::MAX),
        ] {
            assert!(preset.validate().is_ok(), "{preset:?}");
        }
    }

    #[test]
    fn the_size_follows_the_cores() {
        let size = |cores, spindles| {
            let pool = PoolConfig::for_cores(cores, spindles);
            (pool.pool_size, pool.max_overflow)
        };
        assert_eq!(size(4, 1), (9, 18));
        assert_eq!(size(64, 1), (32, 64));
    }
}
