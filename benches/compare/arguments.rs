//! What was asked for on the command line.

use std::{path::PathBuf, str::FromStr, time::Duration};

use crate::{
    contender::{Contender, Result},
    scenario::Scenario,
};

/// How long something runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    Time(Duration),
    /// So many operations, for a profiler that counts instructions.
    Operations(usize),
}

impl Length {
    /// What is done before it and not counted.
    pub(crate) fn warm_up(self) -> Self {
        match self {
            Self::Time(time) => Self::Time(time / 5),
            Self::Operations(_) => Self::Operations(0),
        }
    }
}

/// What was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// Part of the name of the scenarios that are wanted.
    filter: Option<String>,
    pub(crate) rounds: usize,
    /// How long each contender runs in a round.
    pub(crate) turn: Length,
    tasks: Vec<usize>,
    /// Part of the name of the contenders that are wanted; for looking at one in a profiler.
    only: Option<String>,
    pub(crate) plot: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self {
            filter: None,
            rounds: 9,
            turn: Length::Time(Duration::from_millis(500)),
            tasks: vec![1, 10, 64],
            only: None,
            plot: None,
        };
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--rounds" => arguments.rounds = number(given.next(), "--rounds")?,
                "--seconds" => {
                    let seconds: f64 = number(given.next(), "--seconds")?;
                    arguments.turn = Length::Time(Duration::try_from_secs_f64(seconds)?);
                }
                "--operations" => arguments.turn = Length::Operations(number(given.next(), "--operations")?),
                "--tasks" => {
                    let list = given.next().unwrap_or_default();
                    arguments.tasks =
                        list.split(',').map(|tasks| number(Some(tasks), "--tasks")).collect::<Result<_>>()?;
                }
                "--only" => arguments.only = Some(given.next().ok_or("--only needs a name")?),
                "--plot" => arguments.plot = Some(given.next().ok_or("--plot needs the name of a file")?.into()),
                option if option.starts_with('-') => return Err(format!("unknown option {option}").into()),
                _ => arguments.filter = Some(argument),
            }
        }
        let empty = matches!(arguments.turn, Length::Time(Duration::ZERO) | Length::Operations(0));
        if arguments.rounds == 0 || empty || arguments.tasks.contains(&0) {
            return Err("rounds, seconds, operations and tasks have to be more than 0".into());
        }
        Ok(arguments)
    }

    pub(crate) fn selected<'s>(&self, scenarios: &'s [Scenario]) -> impl Iterator<Item = &'s Scenario> {
        let named = |name: &str| self.filter.as_deref().is_none_or(|filter| filter == name);
        let all = Scenario::POSTGRES.iter().chain(Scenario::SQLITE);
        // A whole name means that one, also when others contain it.
        let whole = all.into_iter().any(|scenario| named(scenario.name()));
        scenarios.iter().filter(move |scenario| match &self.filter {
            Some(filter) if !whole => scenario.name().contains(filter),
            _ => named(scenario.name()),
        })
    }

    pub(crate) fn wants(&self, scenarios: &[Scenario]) -> bool {
        self.selected(scenarios).next().is_some()
    }

    pub(crate) fn is_invited(&self, contender: &dyn Contender) -> bool {
        self.only.as_ref().is_none_or(|part| contender.name().contains(part))
    }

    /// The numbers of tasks that the scenario is measured with.
    pub(crate) fn tasks_of(&self, scenario: Scenario) -> Vec<usize> {
        scenario.fixed_tasks().map_or_else(|| self.tasks.clone(), |tasks| vec![tasks])
    }
}

fn number<T: FromStr>(given: Option<impl AsRef<str>>, option: &str) -> Result<T> {
    let number = given.and_then(|text| text.as_ref().parse().ok());
    number.ok_or_else(|| format!("{option} needs a number").into())
}
