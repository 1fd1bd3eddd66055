//! The table.

use std::time::Duration;

use crate::measure::{Group, Measured};

/// Prints one group as a table in Markdown.
pub(crate) fn print(group: &Group) {
    println!("\n### {}, {}\n", group.scenario.name(), tasks(group.tasks));
    println!("| | operations/s | ratio (quartiles) | p50 | p99 | p99 ratio |");
    println!("|---|--:|--:|--:|--:|--:|");
    for Measured { name, per_second, ratio, spread, p50, p99, p99_ratio } in &group.results {
        let (low, high) = spread;
        let (p50, p99) = (milliseconds(*p50), milliseconds(*p99));
        println!("| {name} | {per_second:.0} | {ratio:.2} ({low:.2}–{high:.2}) | {p50} | {p99} | {p99_ratio:.2} |");
    }
}

pub(crate) fn tasks(number: usize) -> String {
    if number == 1 { "1 task".to_owned() } else { format!("{number} tasks") }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
