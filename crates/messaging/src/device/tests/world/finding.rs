//! What a relay does so that users are found.

use super::*;

impl Inner {
    pub(super) fn tag(&mut self, region: &str, device: DeviceId, asked: Retag) -> Answer {
        let id = self.mailbox_of(device).ok_or(Problem::from(ProblemCode::NotRegistered))?;
        let signer = self.regions[asked.number_proof.region.as_str()].service.verifying_key();
        let checked = asked.number_proof.check(&signer, (&id, &device), &asked.number);
        checked.map_err(|_| Problem::from(ProblemCode::NumberProofForged))?;
        assert!(self.mailboxes[&id].number == asked.number);
        let identity = self.mailboxes[&id].identity;
        let here = self.regions.get_mut(region).unwrap();
        let tag = here.published.tag(&asked.number);
        here.entries.insert(tag.locator(), (id, tag.seal(&Resident { mailbox: id, identity })));
        answer(200, &Tagged { region: region.parse().unwrap(), generation: 1 })
    }

    fn built(&self, region: &str) -> Filter {
        let locators = self.regions[region].entries.keys().copied();
        Filter::build(region.parse().unwrap(), 1, locators).unwrap()
    }

    fn signed_filter(&self, region: &str) -> Vec<u8> {
        self.built(region).sign(&self.regions[region].service)
    }

    pub(super) fn filters(&self) -> Answer {
        let here = self.regions.keys().filter(|region| Some(*region) != self.away.as_ref());
        let listed = here.map(|region| FilterListed {
            region: region.parse().unwrap(),
            generation: 1,
            etag: self.etag(region).parse().unwrap(),
            bytes: self.signed_filter(region).len() as u64,
            entries: self.built(region).entries(),
        });
        answer(200, &listed.collect::<Vec<_>>())
    }

    fn etag(&self, region: &str) -> String {
        use sha2::{Digest, Sha256};
        format!("\"{}\"", Key(Sha256::digest(self.signed_filter(region)).into()))
    }

    pub(super) fn filter(&self, path: &str) -> Answer {
        let region = path.strip_prefix("filters/").and_then(|rest| rest.strip_suffix("/1"));
        let region = region.ok_or(Problem::from(ProblemCode::NotFound))?;
        Ok((200, self.signed_filter(region)))
    }

    pub(super) fn evaluate(&self, asked: &Evaluate) -> Answer {
        let wanted = |region: &String| {
            asked.regions.as_ref().is_none_or(|all| all.iter().any(|each| each.as_str() == region))
        };
        let results = self.regions.iter().filter(|(region, _)| wanted(region)).map(|(region, here)| {
            let key = here.used.as_ref().unwrap_or(&here.published);
            let (evaluated, proof) = key.evaluate(&asked.blinded).unwrap();
            let evaluated = List::new(evaluated).unwrap();
            RegionEvaluated { region: region.parse().unwrap(), generation: 1, evaluated, proof }
        });
        answer(200, &Evaluated { results: List::new(results.collect()).unwrap() })
    }

    pub(super) fn lookup(&self, asked: &Lookup) -> Answer {
        if !asked.is_padded() {
            return Err(ProblemCode::NotPadded.into());
        }
        let entries = &self.regions[asked.region.as_str()].entries;
        let found = asked.locators.iter().map(|at| entries.get(at).map(|(_, entry)| *entry)).collect();
        answer(200, &Found { entries: List::new(found).unwrap() })
    }
}
