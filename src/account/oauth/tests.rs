//! Messages, answers and questions of logins by token.

use super::*;

fn introspection(change: impl FnOnce(&mut OAuth)) -> Introspection {
    let mut settings = OAuth {
        endpoint: "http://localhost/introspect".into(),
        username: "username".into(),
        cache: Duration::from_secs(60),
        timeout: Duration::from_secs(5),
        ..OAuth::default()
    };
    change(&mut settings);
    Introspection::new(settings, [7; 32]).unwrap()
}

#[test]
fn messages() {
    use Bearer::{OAuthBearer, XOAuth2};
    // RFC 7628 4.1, and Google's own example.
    let rfc = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
    let claim = Claim::parse(OAuthBearer, rfc.as_bytes()).unwrap();
    assert_eq!((claim.user.as_str(), claim.host.as_deref()), ("user@example.com", Some("server.example.com")));
    assert_eq!(claim.token(), Some("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
    let google = "user=someuser@example.com\x01auth=bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01";
    let claim = Claim::parse(XOAuth2, google.as_bytes()).unwrap();
    assert_eq!((claim.user.as_str(), claim.token().is_some()), ("someuser@example.com", true));
    for (kind, text, user, token) in [
        (OAuthBearer, "n,,\x01auth=Bearer x\x01\x01", "", Some("x")),
        (OAuthBearer, "y,a=a=2Cb=3Dc,\x01auth=Bearer x\x01\x01", "a,b=c", Some("x")),
        (OAuthBearer, "n,,\x01\x01", "", None),
        (OAuthBearer, "n,,\x01auth=Basic x\x01\x01", "", None),
        (OAuthBearer, "n,,\x01auth=Bearer a b\x01\x01", "", None),
        (OAuthBearer, "n,,\x01auth=Bearer =\x01\x01", "", None),
        (OAuthBearer, "n,,\x01future=1\x01auth=Bearer x\x01user=z\x01\x01", "", Some("x")),
    ] {
        let claim = Claim::parse(kind, text.as_bytes()).unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!((claim.user.as_str(), claim.token()), (user, token), "{text:?}");
    }
    for (kind, text) in [
        (OAuthBearer, ""),
        (OAuthBearer, "\x01"),
        (OAuthBearer, "n,,"),
        (OAuthBearer, "p=tls-exporter,,\x01auth=Bearer x\x01\x01"),
        (OAuthBearer, "n,b=x,\x01auth=Bearer x\x01\x01"),
        (OAuthBearer, "n,a=a=b,\x01auth=Bearer x\x01\x01"),
        (OAuthBearer, "n,,\x01auth\x01\x01"),
        (OAuthBearer, "n,,\x01=x\x01\x01"),
        (XOAuth2, "user=x"),
    ] {
        assert_eq!(Claim::parse(kind, text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn answers() {
    let server = introspection(|settings| settings.scope = "mail".into());
    for (status, body, expected) in [
        (200, r#"{"active":true,"username":"alice","scope":"x mail"}"#, "Belongs(\"alice\")"),
        (200, r#"{"active":false}"#, "Denied(Token"),
        (200, r#"{"active":true,"username":"alice"}"#, "Denied(Scope"),
        (200, r#"{"active":true,"username":"alice","scope":"mailbox"}"#, "Denied(Scope"),
        (200, r#"{"active":true,"scope":"mail"}"#, "Denied(Token"),
        (200, r#"{"active":true,"scope":"mail","username":7}"#, "Denied(Token"),
        (200, r#"{"active":true,"scope":"mail","username":"alice","exp":1000}"#, "Denied(Token"),
        (200, r#"{"active":"true","username":"alice","scope":"mail"}"#, "Unknown("),
        (200, "[]", "Unknown("),
        (200, "<html>", "Unknown("),
        (401, r#"{"active":true,"username":"alice","scope":"mail"}"#, "Unknown("),
    ] {
        let judged = server.judge("x", &Asked::Said(status, body.into()), Instant::now());
        assert!(format!("{judged:?}").starts_with(expected), "{status} {body}: {judged:?}");
    }
    let failed = server.judge("x", &Asked::Failed("gone".into()), Instant::now());
    assert!(matches!(failed, Judgement::Unknown(reason) if reason.contains("gone")));
}

#[test]
fn a_good_token_is_remembered_for_a_while() {
    let server = introspection(|settings| settings.username = "email".into());
    let now = Instant::now();
    let soon = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 20;
    for (token, more, seconds) in [("long", String::new(), 60), ("short", format!(",\"exp\":{soon}"), 20)] {
        let body = format!("{{\"active\":true,\"email\":\"a@x\"{more}}}");
        assert_eq!(server.knows(token, now), None);
        server.judge(token, &Asked::Said(200, body.into()), now);
        assert_eq!(server.knows(token, now).as_deref(), Some("a@x"));
        assert_eq!(server.knows(token, now + Duration::from_secs(seconds)), None, "{token}");
    }
    server.judge("bad", &Asked::Said(200, b"{\"active\":false}".to_vec()), now);
    assert_eq!(server.knows("bad", now), None);
    for n in 0..=MAX_REMEMBERED {
        server.remember(&n.to_string(), "a", now + Duration::from_secs(9), now);
    }
    assert!(server.remembered.lock().unwrap().len() <= MAX_REMEMBERED);
}

#[test]
fn questions_and_challenges() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    fs::write(&file, "a:b\n").unwrap();
    let with = |client: &str, secret: bool| {
        introspection(|settings| {
            settings.client = client.into();
            settings.secret_file = secret.then(|| file.clone());
            settings.scope = "mail".into();
            settings.configuration = "https://x/y".into();
        })
    };
    for (client, secret, header, form) in [
        ("me", true, Some("Basic bWU6YSUzQWI="), "token=a%2Bb&token_type_hint=access_token"),
        ("", true, Some("Bearer a:b"), "token=a%2Bb&token_type_hint=access_token"),
        ("me", false, None, "token=a%2Bb&token_type_hint=access_token&client_id=me"),
    ] {
        let question = with(client, secret).question("a+b");
        assert_eq!(question.authorization.as_ref().map(Secret::expose), header.map(str::as_bytes));
        assert_eq!(question.form.expose(), form.as_bytes());
    }
    let told = |kind, denial| String::from_utf8(with("", false).challenge(kind, denial)).unwrap();
    assert_eq!(
        told(Bearer::OAuthBearer, Denial::Token),
        r#"{"openid-configuration":"https://x/y","scope":"mail","status":"invalid_token"}"#
    );
    assert_eq!(told(Bearer::XOAuth2, Denial::Scope), r#"{"schemes":"bearer","scope":"mail","status":"403"}"#);
}
