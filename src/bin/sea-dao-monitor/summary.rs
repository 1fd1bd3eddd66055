//! What all samples say together.

use std::time::Instant;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::sample::Sample;

pub(crate) struct Summary {
    pub(crate) samples: u64,
    up: u64,
    reconnects: u64,
    longest_outage: u64,
    outage: u64,
    latencies: Histogram<u64>,
    started: Instant,
}

/// For machines; durations in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) samples: u64,
    pub(crate) failed: u64,
    /// In percent.
    pub(crate) success_rate: f64,
    /// Samples one after the other that were not up, at most.
    pub(crate) longest_outage_samples: u64,
    pub(crate) reconnects: u64,
    pub(crate) seconds: f64,
    pub(crate) latency_ms: Option<Latency>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Latency {
    pub(crate) min: f64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Default for Summary {
    fn default() -> Self {
        // In microseconds, to three digits.
        let latencies = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are among those supported"));
        let started = Instant::now();
        Self { samples: 0, up: 0, reconnects: 0, longest_outage: 0, outage: 0, latencies, started }
    }
}

impl Summary {
    pub(crate) fn add(&mut self, sample: &Sample) {
        self.samples += 1;
        self.reconnects = sample.reconnects;
        if sample.up {
            self.up += 1;
            self.outage = 0;
        } else {
            self.outage += 1;
            self.longest_outage = self.longest_outage.max(self.outage);
        }
        if let (true, Some(latency)) = (sample.up, sample.latency_ms) {
            // It grows with what it is given; a day in microseconds is far from its limit.
            let _ = self.latencies.record((latency * 1e3).round() as u64);
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        self.samples - self.up
    }

    pub(crate) fn figures(&self) -> Figures {
        let milliseconds = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let latency_ms = (!self.latencies.is_empty()).then(|| Latency {
            min: self.latencies.min() as f64 / 1e3,
            mean: self.latencies.mean() / 1e3,
            p50: milliseconds(0.5),
            p95: milliseconds(0.95),
            p99: milliseconds(0.99),
            max: self.latencies.max() as f64 / 1e3,
        });
        Figures {
            samples: self.samples,
            failed: self.failed(),
            success_rate: if self.samples == 0 { 0.0 } else { self.up as f64 * 100.0 / self.samples as f64 },
            longest_outage_samples: self.longest_outage,
            reconnects: self.reconnects,
            seconds: self.started.elapsed().as_secs_f64(),
            latency_ms,
        }
    }
}
