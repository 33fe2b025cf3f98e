//! Runs a model to its end and says what came out.

use crate::broken::Broken;
use crate::moves::{Action, Event, Model};
use crate::scope::Scope;
use crate::state::State;
use stateright::{Checker, HasDiscoveries, Model as _};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A state and what happened in it; the last state has nothing.
pub type Path = Vec<(State, Option<Action>)>;

/// What exploring a model found.
#[derive(Debug)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Transitions taken, those to known states too.
    pub transitions: usize,
    /// The longest of the shortest paths to a state.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// Properties that do not hold, each with the path to the first state found where it does not.
    pub breaches: Vec<(&'static str, Path)>,
    /// Properties of the kind "sometimes" that were reached.
    pub reached: Vec<&'static str>,
    /// What was come across.
    pub events: Vec<Event>,
}

impl Found {
    /// The path to where a property breaks.
    pub fn breach(&self, property: &str) -> Option<&Path> {
        self.breaches.iter().find(|(name, _)| *name == property).map(|(_, path)| path)
    }
}

/// What to explore.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// What may happen.
    pub scope: Scope,
    /// What is broken.
    pub broken: Option<Broken>,
    /// What else is broken.
    pub also: Option<Broken>,
    /// Stop where this property breaks; `None`: where any does. Where none does, all is explored.
    pub until: Option<&'static str>,
    /// One thread finds the shortest path.
    pub threads: usize,
}

impl Run {
    /// A scope, all of it, with nothing broken.
    pub fn whole(scope: Scope, threads: usize) -> Self {
        Self { scope, broken: None, also: None, until: None, threads }
    }

    /// A broken variant, until it is caught.
    pub fn broken(broken: Broken) -> Self {
        let (scope, until) = crate::cases::of_broken(broken);
        let also = crate::cases::also(broken);
        Self { scope, broken: Some(broken), also, until: Some(until), threads: 1 }
    }

    /// Explores: breadth first, so that paths are short.
    pub fn explore(self) -> Found {
        let begun = Instant::now();
        let finish = match self.until {
            Some(property) => HasDiscoveries::AnyOf(BTreeSet::from([property])),
            None => HasDiscoveries::AnyFailures,
        };
        let checker = Model::new(self.scope, [self.broken, self.also])
            .checker()
            .threads(self.threads)
            .finish_when(finish)
            .spawn_bfs()
            .join();
        let time = begun.elapsed();
        let (mut breaches, mut reached) = (Vec::new(), Vec::new());
        for property in checker.model().properties() {
            match checker.discovery(property.name) {
                None => {}
                Some(path) if property.expectation.discovery_is_failure() => {
                    breaches.push((property.name, path.into_vec()));
                }
                Some(_) => reached.push(property.name),
            }
        }
        Found {
            states: checker.unique_state_count(),
            transitions: checker.state_count(),
            depth: checker.max_depth(),
            time,
            breaches,
            reached,
            events: Event::ALL.into_iter().filter(|e| checker.model().has_seen(*e)).collect(),
        }
    }
}
