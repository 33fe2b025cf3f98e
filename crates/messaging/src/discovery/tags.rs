//! Tags that a device has already, so that it asks for each contact once.

use super::Tag;
use crate::number::Number;
use crate::wire::RegionName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The tags of a device's contacts, per region and generation. Kept in the device's own file, beside the numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(BTreeMap<Number, Vec<Kept>>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    region: RegionName,
    generation: u32,
    tag: Tag,
}

impl Tags {
    /// The tag of a number, if there is one.
    pub fn get(&self, number: &Number, region: &RegionName, generation: u32) -> Option<&Tag> {
        let kept =
            self.0.get(number)?.iter().find(|kept| kept.region == *region && kept.generation == generation);
        kept.map(|kept| &kept.tag)
    }

    /// Keeps one, in the place of those of the region's older generations.
    pub fn keep(&mut self, number: &Number, region: &RegionName, generation: u32, tag: Tag) {
        let all = self.0.entry(number.clone()).or_default();
        all.retain(|kept| kept.region != *region);
        all.push(Kept { region: region.clone(), generation, tag });
    }

    /// Which of `numbers` have no tag yet in which of the regions' current generations: the regions that have to be asked,
    /// and the numbers to blind.
    pub fn missing<'a>(
        &self,
        numbers: impl IntoIterator<Item = &'a Number>,
        current: &[(RegionName, u32)],
    ) -> (Vec<Number>, Vec<RegionName>) {
        let (mut missing, mut regions) = (Vec::new(), Vec::new());
        for number in numbers {
            let lacks =
                |(region, generation): &&(RegionName, u32)| self.get(number, region, *generation).is_none();
            let of_it: Vec<_> = current.iter().filter(lacks).map(|(region, _)| region.clone()).collect();
            if !of_it.is_empty() {
                missing.push(number.clone());
            }
            regions.extend(of_it);
        }
        regions.sort_unstable();
        regions.dedup();
        (missing, regions)
    }

    /// Forgets a contact.
    pub fn forget(&mut self, number: &Number) {
        self.0.remove(number);
    }

    /// Forgets everything: discovery was withdrawn.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_asked_for_once_per_generation() {
        let numbers: Vec<Number> = ["+8613912345678", "+15035550123"].map(|n| n.parse().unwrap()).to_vec();
        let (beijing, oregon): (RegionName, RegionName) =
            ("beijing".parse().unwrap(), "oregon".parse().unwrap());
        let current = [(beijing.clone(), 1), (oregon.clone(), 4)];
        let mut tags = Tags::default();
        assert_eq!(
            tags.missing(&numbers, &current),
            (numbers.clone(), vec![beijing.clone(), oregon.clone()])
        );
        tags.keep(&numbers[0], &beijing, 1, Tag([1; 64]));
        tags.keep(&numbers[0], &oregon, 4, Tag([2; 64]));
        tags.keep(&numbers[1], &beijing, 1, Tag([3; 64]));
        assert_eq!(tags.missing(&numbers, &current), (vec![numbers[1].clone()], vec![oregon.clone()]));
        let next = [(beijing.clone(), 2), (oregon, 4)];
        assert_eq!(tags.missing(&numbers[..1], &next), (vec![numbers[0].clone()], vec![beijing.clone()]));
        let text = serde_json::to_string(&tags).unwrap();
        let read: Tags = serde_json::from_str(&text).unwrap();
        assert!(read.get(&numbers[0], &beijing, 1) == Some(&Tag([1; 64])));
    }
}
