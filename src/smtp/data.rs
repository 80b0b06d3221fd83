//! DATA (RFC 5321 4.1.1.4): the message up to a line with a single dot.

use super::delivery;
use super::intake::Intake;
use super::reply;
use super::session::{Smtp, State, Then};
use crate::wire::dot::{DotReader, Flaw};
use crate::wire::{Input, Out};

/// The message between 354 and its end.
pub(super) struct Data {
    reader: DotReader,
    intake: Intake,
}

/// `DATA`
pub(super) fn data(session: &mut Smtp, _argument: &str) -> Then {
    let Some(transaction) = session.transaction.take_if(|transaction| transaction.recipients() > 0) else {
        return Then::Reply(reply::NO_RECIPIENTS);
    };
    let intake = Intake::new(session, transaction);
    session.state = State::Data(Box::new(Data { reader: DotReader::new(), intake }));
    Then::Reply(reply::SEND_DATA)
}

/// Use what has arrived of the message; `None` if its end has not.
pub(super) fn take(session: &mut Smtp, input: &mut Input, out: &mut Out) -> Option<Then> {
    let State::Data(data) = &mut session.state else { return None };
    let Data { reader, intake } = &mut **data;
    let (used, end) = reader.read(input.bytes(), |piece| intake.add(piece));
    input.consume(used);
    if !end {
        return None;
    }
    let State::Data(data) = std::mem::replace(&mut session.state, State::Command) else { return None };
    let flaw = data.reader.flaw();
    Some(conclude(session, data.intake, flaw, out))
}

/// The message is complete: begin to deliver it, or refuse it; LMTP has an answer for each recipient.
pub(super) fn conclude(session: &mut Smtp, mut intake: Intake, flaw: Option<Flaw>, out: &mut Out) -> Then {
    if let Some(flaw) = flaw {
        intake.refuse(reply::flawed(flaw));
    }
    match intake.finish() {
        Ok(delivery) => {
            session.state = State::Delivery(Box::new(delivery));
            Then::Go
        }
        Err(replies) => delivery::answer(session, replies, out),
    }
}
