//! What can be seen of a running reactor from outside, for tests and reports.
//!
//! Owns nothing and must not change anything: questions only.

use super::Reactor;
use super::net::Net;
use crate::connection::state::State;
use crate::report::counters::Counters;

impl<N: Net> Reactor<N> {
    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The network.
    pub fn net(&mut self) -> &mut N {
        &mut self.net
    }

    /// Live connections, by state in the order of [`State::ALL`].
    #[must_use]
    pub fn census(&self) -> [usize; State::ALL.len()] {
        let mut census = [0; State::ALL.len()];
        for (_, slot) in self.slots.iter() {
            let at = State::ALL
                .iter()
                .position(|state| *state == slot.connection.state());
            if let Some(count) = at.and_then(|at| census.get_mut(at)) {
                *count += 1;
            }
        }
        census
    }

    /// Buffers at home, and how many there are.
    #[must_use]
    pub fn buffers_home(&self) -> (usize, usize) {
        (self.buffers.free(), self.buffers.count())
    }

    /// Places for works that are free, and how many there are.
    #[must_use]
    pub fn works_home(&self) -> (usize, usize) {
        (self.works.free(), self.works.count())
    }

    /// What is free of the room of large buffers, and all of it, bytes.
    #[must_use]
    pub fn large_room_home(&self) -> (u64, u64) {
        self.growth.home()
    }

    /// A response on its way has its line waiting in the access log, and nothing else has.
    fn check_access(&self) {
        let Some(access) = &self.access else { return };
        for index in self.slots.indices() {
            let lines = access.holds(index);
            let state = self.slots.get(index).map(|slot| slot.connection.state());
            let fits = match state {
                None
                | Some(
                    State::Idle
                    | State::Head
                    | State::Verify
                    | State::Queue
                    | State::Rest
                    | State::Closed,
                ) => lines == 0,
                Some(State::Body | State::Store | State::Script | State::Relay) => lines == 1,
                Some(State::Respond) => lines > 0,
                Some(State::Linger) => lines < 2,
            };
            assert!(fits, "slot {index} in {state:?}: {lines} lines");
        }
    }

    /// Asserts what must hold between two turns. For tests: it looks at everything.
    ///
    /// # Panics
    /// When an invariant does not hold.
    #[allow(
        clippy::panic,
        reason = "a check for tests; never called by the server"
    )]
    pub fn check(&self) {
        self.check_access();
        let held = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.buffer.is_some())
            .count();
        assert_eq!(
            held + self.buffers.free(),
            self.buffers.count(),
            "every buffer has one place"
        );
        let (free, room) = self.growth.home();
        assert_eq!(free + self.growth.held(), room, "the room of large buffers");
        assert_eq!(room, self.config.large_room_bytes(), "as planned");
        let works = self.slots.iter().filter(|(_, slot)| slot.work().is_some());
        assert_eq!(
            works.count() + self.works.free(),
            self.works.count(),
            "every work has one place"
        );
        let uploads = self.slots.iter().filter(|(_, s)| s.upload().is_some());
        assert_eq!(
            uploads.count() + self.uploads.free(),
            self.uploads.count(),
            "every upload has one place"
        );
        let scripts = self.slots.iter().filter(|(_, s)| s.script().is_some());
        let (free, places) = self.scripts.census();
        assert!(scripts.count() + free <= places, "every script has a place");
        let shown = self.slots.iter().filter(|(_, s)| s.status().is_some());
        assert_eq!(
            shown.count(),
            self.showings.taken(),
            "every status has a slot"
        );
        let counts = |key| self.slots.iter().filter(|(_, s)| s.counted == key).count();
        for (index, slot) in self.slots.iter() {
            let counted = usize::from(self.addresses.count(slot.counted));
            assert!(
                slot.counted.is_none() || counted == counts(slot.counted),
                "slot {index}: {counted} of its client"
            );
            let state = slot.connection.state();
            let pieces = slot.connection.has_pieces();
            let script = slot.script().is_some() || slot.status().is_some();
            let works = slot.work().is_some();
            assert_eq!(works, pieces && !script, "slot {index} in {state:?}");
            let stores = slot.upload().is_some();
            assert_eq!(
                stores,
                state == State::Store && !script,
                "slot {index} in {state:?}"
            );
            let runs = matches!(state, State::Script | State::Relay);
            assert!(
                script || !runs,
                "slot {index} in {state:?} without a script"
            );
            assert_ne!(state, State::Closed, "slot {index} is closed and not home");
            let owns = slot.buffer.is_some();
            let may_own =
                !matches!(state, State::Linger) && (owns || !slot.connection.holds_bytes());
            assert!(may_own || !owns, "slot {index} in {state:?} owns a buffer");
            assert!(
                owns || !slot.connection.holds_bytes(),
                "slot {index} has bytes without a home"
            );
        }
    }
}
