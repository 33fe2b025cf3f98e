//! Decisions made so far by one set of policies, in little memory: two thousand classes make a million of them.
//!
//! A question is seven small numbers, one for each thing it depends on; an answer is the number of one of few. What no
//! policy permits is said in words of its own for each question, so only that it is so is kept.

use crate::class::Class;
use crate::country::Country;
use crate::decide::Decision;
use crate::region::Action;
use std::collections::HashMap;
use std::hash::Hash;

/// At most this many decisions are kept; beyond it all starts over. 2,000 classes x 42 (category, action) x 10 regions
/// are 840,000.
const DECISIONS_MAX: usize = 1_000_000;

/// Everything a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub class: Class,
    pub action: Action,
    pub region: (String, Country, Country),
    pub category: String,
    pub source: Option<(Country, Country)>,
    pub mechanisms: Vec<bool>,
}

/// What the policies said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// No policy permits it.
    NoPermit,
    /// Rules decide.
    Decided(Decision),
}

/// Decisions that were made, 20 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Known {
    classes: Numbers<Class>,
    regions: Numbers<(String, Country, Country)>,
    categories: Numbers<String>,
    sources: Numbers<Option<(Country, Country)>>,
    mechanisms: Numbers<Vec<bool>>,
    answers: Numbers<Answer>,
    by_number: Vec<Answer>,
    decisions: HashMap<Key, u32>,
}

/// A question in numbers. There are fewer than 2^16 of each thing but classes: where there are not, nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    class: u32,
    region: u16,
    category: u16,
    source: u16,
    mechanisms: u16,
    action: Action,
}

impl Known {
    /// What was answered to this question.
    pub fn get(&self, question: &Question) -> Option<&Answer> {
        let key = Key {
            class: self.classes.of(&question.class)?,
            region: small(self.regions.of(&question.region))?,
            category: small(self.categories.of(&question.category))?,
            source: small(self.sources.of(&question.source))?,
            mechanisms: small(self.mechanisms.of(&question.mechanisms))?,
            action: question.action,
        };
        self.by_number.get(*self.decisions.get(&key)? as usize)
    }

    /// Keeps an answer.
    pub fn keep(&mut self, question: Question, answer: &Answer) {
        if self.decisions.len() >= DECISIONS_MAX {
            *self = Self::default();
        }
        let of = (
            small(Some(self.regions.give(question.region))),
            small(Some(self.categories.give(question.category))),
            small(Some(self.sources.give(question.source))),
            small(Some(self.mechanisms.give(question.mechanisms))),
        );
        let (Some(region), Some(category), Some(source), Some(mechanisms)) = of else { return };
        let class = self.classes.give(question.class);
        let number = self.answers.give(answer.clone());
        if number as usize == self.by_number.len() {
            self.by_number.push(answer.clone());
        }
        let key = Key { class, region, category, source, mechanisms, action: question.action };
        self.decisions.insert(key, number);
    }
}

fn small(number: Option<u32>) -> Option<u16> {
    number.and_then(|n| u16::try_from(n).ok())
}

/// Values and their numbers, from 0.
#[derive(Debug)]
struct Numbers<T>(HashMap<T, u32>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Eq + Hash> Numbers<T> {
    fn of(&self, value: &T) -> Option<u32> {
        self.0.get(value).copied()
    }

    fn give(&mut self, value: T) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(value).or_insert(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Rule;

    fn question(class: Class, category: &str, source: Option<&str>) -> Question {
        let country = |code: &str| code.parse::<Country>().unwrap();
        Question {
            class,
            action: Action::Transfer,
            region: ("mumbai".to_owned(), country("IN"), country("IN")),
            category: category.to_owned(),
            source: source.map(|s| (country(s), country(s))),
            mechanisms: vec![true, false],
        }
    }

    /// Questions that differ in one thing alone, each with its own answer: none is taken for another.
    #[test]
    fn an_answer_is_that_questions() {
        let resident = |code: &str| Class::resident(code.parse().unwrap());
        let with = |flag: &str| Class { flags: [flag.to_owned()].into(), ..resident("IN") };
        let mut all = vec![
            question(resident("IN"), "a", None),
            question(resident("CN"), "a", None),
            question(with("x"), "a", None),
            question(with("y"), "a", None),
            question(resident("IN"), "b", None),
            question(resident("IN"), "a", Some("IN")),
            question(resident("IN"), "a", Some("CN")),
        ];
        all.push(Question { action: Action::Store, ..all[0].clone() });
        all.push(Question { mechanisms: vec![true, true], ..all[0].clone() });
        all.push(Question {
            region: ("delhi".to_owned(), all[0].region.1, all[0].region.2),
            ..all[0].clone()
        });
        let answer = |n: usize| match n {
            0 => Answer::NoPermit,
            n => {
                let rules = vec![Rule::builtin("test", format!("answer {}", n / 2))];
                Answer::Decided(Decision { allowed: n.is_multiple_of(3), rules })
            }
        };
        let mut known = Known::default();
        for (n, one) in all.iter().enumerate() {
            assert_eq!(known.get(one), None);
            known.keep(one.clone(), &answer(n));
        }
        for (n, one) in all.iter().enumerate() {
            assert_eq!(known.get(one), Some(&answer(n)), "question {n}");
        }
    }

    #[test]
    fn a_decision_is_small() {
        assert_eq!(std::mem::size_of::<(Key, u32)>(), 20);
    }
}
