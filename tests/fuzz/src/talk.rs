//! A conversation with a session, without sockets: bytes in, bytes out.

use mailcote::wire::{Asked, Event, Input, Out, Session, Tls, Want};

/// Steps that a session may make without wanting anything of its peer: a job over three messages has a few.
const MAX_STEPS: usize = 10_000;
/// Bytes that it may answer to a few kilobytes of input: [`super::imap_session`] fetches three small messages over and over.
const MAX_ANSWER: usize = 8 << 20;

/// One end of it.
pub struct Talk {
    session: Box<dyn Session>,
    input: Input,
    want: Want,
    /// Everything that was answered and not taken yet.
    pub answers: Vec<u8>,
}

impl Talk {
    /// Open it.
    pub fn new(session: Box<dyn Session>) -> Talk {
        let mut talk = Talk { session, input: Input::new(), want: Want::Input, answers: Vec::new() };
        talk.happens(Event::Opened);
        talk
    }

    /// Has the session closed it?
    pub fn is_over(&self) -> bool {
        matches!(self.want, Want::Close)
    }

    /// Send bytes; a session that has closed gets nothing.
    pub fn say(&mut self, bytes: &[u8]) {
        if matches!(self.want, Want::Input | Want::InputOrNotice(_)) {
            self.input.extend(bytes);
            self.happens(Event::Input);
        }
    }

    /// Close it from this side.
    pub fn close(&mut self) {
        self.want = Want::Close;
    }

    /// What was answered since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn happens(&mut self, event: Event) {
        let (mut out, mut event) = (Out::new(), event);
        for _ in 0..MAX_STEPS {
            let want = self.session.step(event, &mut self.input, &mut out);
            self.answers.extend_from_slice(out.bytes());
            out.clear();
            assert!(self.answers.len() <= MAX_ANSWER, "{} bytes of answers", self.answers.len());
            event = match want {
                Want::Continue | Want::Pause(_) | Want::Compress => Event::Flushed,
                Want::Work(work) => Event::Answer(work()),
                Want::Ask(_) => Event::Answer(Box::new(Asked::Failed("nobody to ask here".into()))),
                Want::StartTls => {
                    self.input.discard();
                    Event::TlsStarted(Tls { version: "TLSv1.3".into(), ..Tls::default() })
                }
                want @ (Want::Input | Want::InputOrNotice(_) | Want::Close) => {
                    self.want = want;
                    return;
                }
            };
        }
        panic!("the session goes on for ever");
    }
}
