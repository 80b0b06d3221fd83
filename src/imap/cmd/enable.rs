//! ENABLE (RFC 5161): switch extensions on for the rest of the connection.
//!
//! What can be enabled is [`TABLE`]; a name belongs there once all of its RFC is done. Names that are unknown, or that need no enabling, are
//! passed over, as RFC 5161 3.1 demands.

use crate::imap::enabled::Enabled;
use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;

/// A name, and what switches it on with all that it implies.
type Row = (&'static str, fn(&mut Enabled));

static TABLE: &[Row] = &[
    // RFC 5464 4.1.
    ("METADATA", |enabled| enabled.metadata = true),
    ("METADATA-SERVER", |enabled| enabled.metadata = true),
    // RFC 9051 6.3.1 and appendix A: without it we answer as RFC 3501 has it.
    ("IMAP4rev2", |enabled| enabled.rev2 = true),
    // RFC 6855 3.
    ("UTF8=ACCEPT", |enabled| enabled.utf8 = true),
    ("CONDSTORE", |enabled| enabled.condstore = true),
    // RFC 9586 section 3.1.
    ("UIDONLY", |enabled| enabled.uidonly = true),
    // RFC 7162 3.2.3: the same as QRESYNC CONDSTORE.
    ("QRESYNC", |enabled| (enabled.condstore, enabled.qresync) = (true, true)),
];

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    let mut asked = Vec::new();
    while !(call.args.at_end() || call.args.rest() == b" ") || asked.is_empty() {
        call.args.space()?;
        asked.push(call.args.atom()?);
    }
    call.args.end()?;
    let before = call.context.enabled;
    let mut said = String::from("* ENABLED");
    for (name, enable) in TABLE.iter().filter(|row| asked.iter().any(|name| row.0.eq_ignore_ascii_case(name))) {
        // RFC 5161 3.2: those that this command has enabled.
        let mut alone = before;
        enable(&mut alone);
        if alone != before {
            if alone.condstore {
                call.context.enable_condstore(call.out);
            }
            if alone.rev2 && !before.rev2 {
                call.context.enable_rev2();
            }
            if alone.uidonly && !before.uidonly {
                call.context.enable_uidonly();
            }
            enable(&mut call.context.enabled);
            said.push(' ');
            said.push_str(name);
        }
    }
    call.out.line(said);
    Ok(Reply::ok("Enabled").into())
}
