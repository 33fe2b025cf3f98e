//! Where a run of bytes stands, down to the packet that a byte of it came in.

use crate::{Place, Step};

/// The place of a run; for one that was put together from packets, also which byte came in which.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    place: Place,
    /// Offset in the run and the number of the packet that its bytes from there came in, ascending.
    packets: Vec<(u64, u64)>,
    /// After how many steps of the place the packet is named.
    packet_step: usize,
}

impl Spot {
    /// A run put together from packets: `place` has `packet_step` steps before the packet.
    pub(crate) fn of_packets(place: Place, packet_step: usize, packets: Vec<(u64, u64)>) -> Self {
        Self { place, packets, packet_step }
    }

    /// The place of the run as a whole.
    pub(crate) fn place(&self) -> Place {
        self.at(0)
    }

    /// The place of the byte at an offset.
    pub(crate) fn at(&self, offset: u64) -> Place {
        let mut place = self.place.clone();
        let before = self.packets.partition_point(|(from, _)| *from <= offset);
        if let Some((_, packet)) = self.packets.get(before.saturating_sub(1)) {
            place.0.insert(self.packet_step.min(place.0.len()), Step::Packet(*packet));
        }
        place
    }

    /// Whether all of it has one place.
    #[cfg(test)]
    pub(crate) fn of_one_piece(&self) -> bool {
        self.packets.is_empty()
    }

    /// The spot of what is unpacked from `offset`; the offset is named unless it is the beginning.
    pub(crate) fn inside(&self, offset: u64, step: Step) -> Self {
        let mut place = self.at(offset);
        if offset > 0 {
            place.0.push(Step::At(offset));
        }
        place.0.push(step);
        place.into()
    }
}

impl From<Place> for Spot {
    fn from(place: Place) -> Self {
        Self { place, packets: Vec::new(), packet_step: 0 }
    }
}
