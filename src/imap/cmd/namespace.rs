//! NAMESPACE (RFC 2342): a personal namespace, and one for what other users share, both with the separator `/`.

use crate::imap::job::{Begun, Call};
use crate::imap::reply::Reply;
use crate::imap::response;
use crate::mail::utf7;

pub(super) fn begin(mut call: Call<'_>) -> Result<Begun, Reply> {
    call.args.end()?;
    call.out.put("* NAMESPACE ((\"\" \"/\")) ");
    match call.context.sharing().map(|sharing| format!("{}/", sharing.prefix)) {
        Some(prefix) => {
            call.out.put("((");
            if call.context.enabled.speaks_utf8() {
                response::quoted(call.out.buffer(), &prefix);
            } else {
                response::string(call.out.buffer(), utf7::encode(&prefix).as_bytes());
            }
            call.out.put(" \"/\"))");
        }
        None => call.out.put("NIL"),
    }
    call.out.line(" NIL");
    Ok(Reply::ok("Namespace completed").into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::imap::place::Sharing;
    use crate::imap::testing::World;
    use crate::store::acl::shares::Shares;

    /// RFC 3501 5.1.3 before, RFC 9051 5.1 and RFC 6855 3 behind what enables it.
    #[test]
    fn a_prefix_is_spelled_as_the_client_spells() {
        let dir = tempfile::tempdir().unwrap();
        let shares = Arc::new(Shares::new(dir.path().to_owned()));
        for extension in ["IMAP4rev2", "UTF8=ACCEPT"] {
            let world = World::with(|_, settings| {
                settings.sharing =
                    Some(Sharing { shares: shares.clone(), prefix: "Öffentlich".into(), anyone: false });
            });
            let mut client = world.client();
            client.login();
            let said = client.says("b namespace\r\n");
            assert!(
                said.starts_with("* NAMESPACE ((\"\" \"/\")) ((\"&ANY-ffentlich/\" \"/\")) NIL\r\nb OK "),
                "{said}"
            );
            client.says(&format!("c enable {extension}\r\n"));
            let said = client.says("d namespace\r\n");
            assert!(said.starts_with("* NAMESPACE ((\"\" \"/\")) ((\"Öffentlich/\" \"/\")) NIL\r\nd OK "), "{said}");
            assert!(client.says("e create \"Öffentlich/x\"\r\n").starts_with("e NO [CANNOT] "), "it is nobody's own");
        }
    }
}
