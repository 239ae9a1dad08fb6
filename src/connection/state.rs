//! Every transition of a connection on one screen.
//!
//! Owns [`State`], [`Event`], [`Teardown`] and [`next`]; `docs/states.md` is printed from it by a
//! test. It must not hold data or conditions: a condition lives in the name of an event.
//! Invariants: the function is total, names every state and has no wildcard over states; a pair
//! without a row is a fault of ours ([`super::reason::Misuse::NoTransition`]).

/// Where a connection is. The words of RFC 9293 and of the project: reading = Idle, Head, Verify,
/// Queue, Body, Store, Script, Rest; writing = Relay, Respond; half-closed-lingering = Linger;
/// closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Between requests, no byte of the next one; owns no buffer.
    Idle,
    /// An unfinished head in a pooled buffer.
    Head,
    /// A whole head that waits until its credentials are verified.
    Verify,
    /// A whole head that waits until its script may be started.
    Queue,
    /// A request body that is read off before its reply leaves.
    Body,
    /// A request body flowing to where it is kept; its reply is made when it is there.
    Store,
    /// A script runs and has not answered; the request body flows to it.
    Script,
    /// The reply of a script flowing out while the request body still flows to it.
    Relay,
    /// A reply flowing out; the request body may still be arriving.
    Respond,
    /// The reply has left before the end of its request's body; owns no buffer.
    Rest,
    /// Write side shut, input discarded; owns no buffer.
    Linger,
    /// Closed, with exactly one reason.
    Closed,
}

impl State {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Idle,
        Self::Head,
        Self::Verify,
        Self::Queue,
        Self::Body,
        Self::Store,
        Self::Script,
        Self::Relay,
        Self::Respond,
        Self::Rest,
        Self::Linger,
        Self::Closed,
    ];
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first byte of a request.
    FirstByte,
    /// The preface of a proxy is read, and nothing stands behind it yet.
    Introduced,
    /// A head is whole, and nobody knows yet whether its credentials are good.
    AwaitVerdict,
    /// It is known now.
    Verdict,
    /// A head is whole, and as many scripts run as may.
    AwaitPlace,
    /// One of them has ended.
    Placed,
    /// A head is whole and its reply stands in the output; no body is awaited before it leaves.
    Answered,
    /// A head is whole, its reply is ready, and its body is read first.
    AwaitBody,
    /// A head is whole, and its body is kept before its reply is made.
    AwaitStore,
    /// A head is whole, and the body too if it was to be kept first: the script has been started.
    AwaitScript,
    /// The script has answered, and the body is not over.
    Relayed,
    /// The body ended.
    BodyEnd,
    /// The peer's fault, or its lateness: a refusal stands in the output.
    Refused,
    /// Everything owed is sent; the connection stays and nothing waits in the input.
    FlushedKeep,
    /// Everything owed is sent; the next request has begun in the input.
    FlushedNext,
    /// Everything owed is sent; a part of the request's body is still to come.
    FlushedRest,
    /// Everything owed is sent, and it was the last.
    FlushedLast,
    /// The peer shut its write side; something of ours is not acknowledged yet.
    PeerFin,
    /// The peer shut its write side; all of ours is acknowledged.
    PeerFinAcked,
    /// An idle connection, or one that sent only blank lines, has waited its time; or the server
    /// stops.
    IdleOver,
    /// The response made no progress for its deadline, or its file became shorter.
    Stuck,
    /// The goodbye is done, or one of its budgets is spent.
    LingerOver,
    /// The slot is needed for somebody else.
    Evicted,
    /// The peer reset the connection, or a send failed.
    Broken,
    /// The stop deadline passed, or a fault of ours.
    Cut,
}

impl Event {
    /// All of them, in order.
    pub const ALL: [Self; 25] = [
        Self::FirstByte,
        Self::Introduced,
        Self::AwaitVerdict,
        Self::Verdict,
        Self::AwaitPlace,
        Self::Placed,
        Self::Answered,
        Self::AwaitBody,
        Self::AwaitStore,
        Self::AwaitScript,
        Self::Relayed,
        Self::BodyEnd,
        Self::Refused,
        Self::FlushedKeep,
        Self::FlushedNext,
        Self::FlushedRest,
        Self::FlushedLast,
        Self::PeerFin,
        Self::PeerFinAcked,
        Self::IdleOver,
        Self::Stuck,
        Self::LingerOver,
        Self::Evicted,
        Self::Broken,
        Self::Cut,
    ];
}

/// How connections end in this build; a value, so that every build tests all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teardown {
    /// Shut the write side, read off what still comes, within budgets.
    Linger,
    /// close(2) after the last byte (Apache's -DNO_LINGCLOSE).
    Plain,
    /// Shut the write side, wait for the last acknowledgement without reading, then SO_LINGER and
    /// close (Apache's -DUSE_SO_LINGER).
    SoLinger,
}

impl Teardown {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Linger, Self::Plain, Self::SoLinger];

    /// The state in which a goodbye is said: `Closed` where it is not said at all.
    const fn goodbye(self) -> State {
        match self {
            Self::Linger | Self::SoLinger => State::Linger,
            Self::Plain => State::Closed,
        }
    }
}

/// The state that follows `state` when `event` happens; `None`: cannot happen.
#[must_use]
pub const fn next(state: State, event: Event, teardown: Teardown) -> Option<State> {
    use Event as E;
    use State as S;
    Some(match (state, event) {
        (S::Idle, E::FirstByte) => S::Head,
        (S::Idle, E::PeerFin | E::IdleOver) => teardown.goodbye(),
        (S::Idle, E::PeerFinAcked | E::Evicted | E::Broken | E::Cut) => S::Closed,

        (S::Head, E::Introduced) => S::Idle,
        (S::Head, E::Answered | E::Refused) => S::Respond,
        (S::Head, E::AwaitBody) => S::Body,
        (S::Head, E::AwaitStore) => S::Store,
        (S::Head, E::AwaitVerdict) => S::Verify,
        (S::Head, E::AwaitPlace) => S::Queue,
        (S::Head | S::Store, E::AwaitScript) => S::Script,
        (S::Head, E::PeerFin | E::IdleOver) => teardown.goodbye(),
        (S::Head, E::PeerFinAcked | E::Broken | E::Cut) => S::Closed,

        (S::Verify, E::Verdict) => S::Head,
        (S::Verify, E::Refused) => S::Respond,
        (S::Verify, E::PeerFin | E::PeerFinAcked) => S::Verify,
        (S::Verify, E::Broken | E::Cut) => S::Closed,

        (S::Queue, E::Placed) => S::Head,
        (S::Queue, E::Refused) => S::Respond,
        (S::Queue, E::PeerFin | E::PeerFinAcked) => S::Queue,
        (S::Queue, E::Broken | E::Cut) => S::Closed,

        (S::Body, E::BodyEnd | E::Refused) => S::Respond,
        (S::Body, E::PeerFin) => teardown.goodbye(),
        // Stuck: the file of the prepared answer became shorter.
        (S::Body, E::PeerFinAcked | E::Stuck | E::Broken | E::Cut) => S::Closed,

        (S::Store, E::Answered | E::Refused) => S::Respond,
        (S::Store, E::PeerFin) => teardown.goodbye(),
        (S::Store, E::PeerFinAcked | E::Broken | E::Cut) => S::Closed,

        (S::Script, E::Answered | E::Refused) => S::Respond,
        (S::Script, E::Relayed) => S::Relay,
        (S::Script, E::PeerFin) => teardown.goodbye(),
        (S::Script, E::PeerFinAcked | E::Broken | E::Cut) => S::Closed,

        // A body that is cut off is the script's matter, which has answered.
        (S::Relay, E::BodyEnd | E::PeerFin | E::PeerFinAcked) => S::Respond,
        (S::Relay, E::FlushedRest) => S::Rest,
        (S::Relay, E::FlushedLast) => teardown.goodbye(),
        (S::Relay, E::Stuck | E::Broken | E::Cut) => S::Closed,

        // A FIN is a half-close: the answer is still owed. Further answers join the output.
        (S::Respond, E::Answered | E::Refused | E::PeerFin | E::PeerFinAcked) => S::Respond,
        (S::Respond, E::FlushedKeep) => S::Idle,
        (S::Respond, E::FlushedNext) => S::Head,
        (S::Respond, E::FlushedRest) => S::Rest,
        (S::Respond, E::FlushedLast) => teardown.goodbye(),
        (S::Respond, E::Stuck | E::Broken | E::Cut) => S::Closed,

        (S::Rest, E::FlushedKeep) => S::Idle,
        // The body came too late, or its slot is needed.
        (S::Rest, E::FlushedLast | E::PeerFin) => teardown.goodbye(),
        (S::Rest, E::PeerFinAcked | E::Broken | E::Cut) => S::Closed,

        (S::Linger, E::PeerFin) => S::Linger,
        (S::Linger, E::PeerFinAcked | E::LingerOver | E::Evicted | E::Broken | E::Cut) => S::Closed,

        #[rustfmt::skip]
        (S::Idle | S::Head | S::Verify | S::Queue | S::Body | S::Store | S::Script | S::Relay
            | S::Respond | S::Rest | S::Linger | S::Closed, _) => return None,
    })
}

/// Which clock runs in a state. No live state is without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Keep-alive idle time.
    Idle,
    /// The whole head, from its first byte.
    Head,
    /// The verdict on credentials.
    Verdict,
    /// A place among the scripts.
    Queue,
    /// The whole body, and a minimum rate.
    Body,
    /// A minimum rate, and a longer total.
    Store,
    /// The minimum rate while the body flows, then the first word of the script.
    Script,
    /// The same as for a body, when the reply has left already.
    Rest,
    /// Progress in acknowledged bytes.
    Write,
    /// Linger idle and linger total.
    Linger,
    /// None: the connection is over.
    None,
}

/// The clock of each state.
#[must_use]
pub const fn deadline(state: State) -> Deadline {
    match state {
        State::Idle => Deadline::Idle,
        State::Head => Deadline::Head,
        State::Verify => Deadline::Verdict,
        State::Queue => Deadline::Queue,
        State::Body => Deadline::Body,
        State::Store => Deadline::Store,
        State::Script => Deadline::Script,
        State::Relay | State::Respond => Deadline::Write,
        State::Rest => Deadline::Rest,
        State::Linger => Deadline::Linger,
        State::Closed => Deadline::None,
    }
}

/// What a state means, in one line; `docs/states.md` shows it.
#[must_use]
pub const fn meaning(state: State) -> &'static str {
    match state {
        State::Idle => "between requests, no byte of the next one; owns no buffer",
        State::Head => "an unfinished head in a pooled buffer",
        State::Verify => "a whole head waits in its buffer until its credentials are verified",
        State::Queue => "a whole head waits in its buffer until its script may be started",
        State::Body => "a request body is read off before the reply leaves",
        State::Store => "a request body flows to where it is kept; then its reply is made",
        State::Script => "a script runs; the body flows to it, and its answer is awaited",
        State::Relay => "the answer of a script flows out while the body still flows to it",
        State::Respond => {
            "a reply flows out; if it is the last, or its body is not wanted, input is thrown away \
             beside it"
        }
        State::Rest => "the reply has left, the rest of its body is thrown away; owns no buffer",
        State::Linger => "write side shut, input thrown away; owns no buffer",
        State::Closed => "over, with exactly one reason",
    }
}

/// What a state may ask of its socket: (read, write). [`super::Connection::need`] narrows it.
#[must_use]
pub const fn interest(state: State) -> (bool, bool) {
    match state {
        State::Verify | State::Queue => (false, false),
        State::Idle | State::Head | State::Rest | State::Linger => (true, false),
        State::Body | State::Store | State::Script | State::Relay | State::Respond => (true, true),
        State::Closed => (false, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the deadline of a state leads to.
    fn expiry(state: State) -> Option<Event> {
        match deadline(state) {
            Deadline::Idle => Some(Event::IdleOver),
            Deadline::Head
            | Deadline::Verdict
            | Deadline::Queue
            | Deadline::Body
            | Deadline::Store
            | Deadline::Script => Some(Event::Refused),
            Deadline::Rest => Some(Event::FlushedLast),
            Deadline::Write => Some(Event::Stuck),
            Deadline::Linger => Some(Event::LingerOver),
            Deadline::None => None,
        }
    }

    fn live() -> impl Iterator<Item = State> {
        State::ALL.into_iter().filter(|s| *s != State::Closed)
    }

    #[test]
    fn every_live_state_answers_what_can_always_happen() {
        for teardown in Teardown::ALL {
            for state in live() {
                for event in [
                    Event::PeerFin,
                    Event::PeerFinAcked,
                    Event::Broken,
                    Event::Cut,
                ] {
                    assert!(
                        next(state, event, teardown).is_some(),
                        "{state:?} {event:?}"
                    );
                }
                assert_eq!(next(state, Event::Broken, teardown), Some(State::Closed));
                assert_eq!(next(state, Event::Cut, teardown), Some(State::Closed));
            }
        }
    }

    #[test]
    fn every_live_state_reaches_closed_by_deadlines_alone() {
        for teardown in Teardown::ALL {
            for start in live() {
                let mut state = start;
                let mut steps = 0;
                while state != State::Closed {
                    let event = expiry(state).expect("a live state has a deadline");
                    state = next(state, event, teardown).expect("a deadline has a row");
                    steps += 1;
                    assert!(steps <= 2, "{start:?} took more than two deadlines");
                }
            }
        }
    }

    #[test]
    fn closed_is_the_end() {
        for teardown in Teardown::ALL {
            for event in Event::ALL {
                assert_eq!(next(State::Closed, event, teardown), None);
            }
        }
        assert_eq!(interest(State::Closed), (false, false));
    }

    #[test]
    fn only_a_flushed_response_or_a_silent_peer_leads_to_linger() {
        for state in live() {
            for event in Event::ALL {
                if state != State::Linger {
                    assert_ne!(next(state, event, Teardown::Plain), Some(State::Linger));
                }
                if next(state, event, Teardown::Linger) == Some(State::Linger) {
                    assert!(matches!(
                        event,
                        Event::FlushedLast | Event::IdleOver | Event::PeerFin
                    ));
                }
            }
        }
    }

    #[test]
    fn respond_is_never_evicted_and_a_half_close_keeps_it() {
        assert_eq!(next(State::Respond, Event::Evicted, Teardown::Linger), None);
        assert_eq!(
            next(State::Respond, Event::PeerFin, Teardown::Linger),
            Some(State::Respond)
        );
        assert_eq!(
            next(State::Respond, Event::PeerFinAcked, Teardown::Plain),
            Some(State::Respond)
        );
    }
}
