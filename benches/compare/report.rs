//! The tables, in Markdown.

use std::time::Duration;

use crate::measure::{Group, Measured};

/// Prints one group.
pub(crate) fn print(group: &Group) {
    println!("\n### {}\n", title(group));
    println!("| | operations/s | ratio (quartiles) | p50 | p99 | p99 ratio |");
    println!("|---|--:|--:|--:|--:|--:|");
    for Measured { name, per_second, ratio, spread, p50, p99, p99_ratio } in &group.results {
        let (low, high) = spread;
        let (p50, p99) = (milliseconds(*p50), milliseconds(*p99));
        println!("| {name} | {per_second:.0} | {ratio:.2} ({low:.2}–{high:.2}) | {p50} | {p99} | {p99_ratio:.2} |");
    }
}

/// Prints the ratios of groups with the same contenders: of operations per second, then of the 99th percentile.
pub(crate) fn summarize(groups: &[Group]) {
    let Some(first) = groups.first() else { return };
    let (baseline, others) = first.results.split_at(1);
    println!("\n### Ratios to {}: operations/s, 99th percentile\n", baseline[0].name);
    println!("| | {}, operations/s |{}", baseline[0].name, row(others, |other| format!(" {} |", other.name)));
    println!("|---|--:|{}", row(others, |_| "--:|".to_owned()));
    for group in groups {
        // Not every contender takes part in everything.
        let ratios = row(others, |other| match group.results.iter().find(|result| result.name == other.name) {
            Some(result) => format!(" {:.2}, {:.2} |", result.ratio, result.p99_ratio),
            None => " – |".to_owned(),
        });
        println!("| {} | {:.0} |{ratios}", title(group), group.results[0].per_second);
    }
}

fn row(results: &[Measured], cell: impl Fn(&Measured) -> String) -> String {
    results.iter().map(cell).collect()
}

/// The scenario and its number of tasks.
pub(crate) fn title(group: &Group) -> String {
    let tasks = if group.tasks == 1 { "task" } else { "tasks" };
    format!("{}, {} {tasks}", group.scenario.name(), group.tasks)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}
