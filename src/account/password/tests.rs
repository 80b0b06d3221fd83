//! Every scheme, against hashes that `doveadm pw` of Dovecot 2.3 made.

use super::*;

/// The password of [`MADE_BY_DOVEADM`]: not ASCII, with a space.
const PASSWORD: &str = "pässword ✓1";

const MADE_BY_DOVEADM: [&str; 29] = [
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$fB3SGxIP5DEkw2UIgs68DA$3e0Qsc062uKt9E0ys16Cj/FDxuTgC6C4CaaBaWRPMdY",
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$M6l9UoUHr7VMDETQ1kH2DA$nxnEkQNKGcTpIdQJWTLSh2BnhA2PCQniU+sZcVMEdsw",
    "{BLF-CRYPT}$2y$05$QIE3pByimKC35T12IZD2JeS7cyNWdy8n5BkXGP8eA/jLOJS6LvG0y",
    "{SHA512-CRYPT}$6$b9ruJdSUe/0lkS0I$VCuBbH1ngur4x2ECp9q3tyyvew4tRhBFPxueoDpUmw2pBmF55RJ6xLzv9AmPUkpcXuwDTAZQlg/wgKHGnl.Ha1",
    "{SHA256-CRYPT}$5$FrPjoqyM5Hp/qrRG$81qDQ.ztVcHB05bAB7.s0scXauOsn2WP.jscD3bjMB2",
    "{CRYPT}$5$FrPjoqyM5Hp/qrRG$81qDQ.ztVcHB05bAB7.s0scXauOsn2WP.jscD3bjMB2",
    "$2y$05$QIE3pByimKC35T12IZD2JeS7cyNWdy8n5BkXGP8eA/jLOJS6LvG0y",
    "{SSHA512}tcSK27Z8NANtk7CC90eo7iRJ/UwTruTXBMOz/j2FlIeCx1rasJ+1NqyvnsM7z3rPvRE/JXMSibQ2mJKl75vq4Ubs8YY=",
    "{SSHA256}l4vjBPvci5V0ysIzFtGudSFddWZguFjWzg3deW0CDcgR46Gy",
    "{SSHA}Q75ZyGIyYq9idz9EyhMT8a+UEfnND8xp",
    "{SHA}Bns00rzD7pt/BpVercFyqsD0VD0=",
    "{SHA1}Bns00rzD7pt/BpVercFyqsD0VD0=",
    "{SHA256}mWl//jYOl8KCf5f2CYoSbFvWu5sZbWOFxr9VH7Voe54=",
    "{SHA512}OW6lBtFQooS8onH8wTv/IbDqzOVhcnPeUH1CTEyDiIUo4HmZXNEYJJ0kdQU/V77qRGj2CRilIsXEyQHOxmBSKg==",
    "{PBKDF2}$1$sLNpDWp5F2n7a3gk$5000$f1358d51c4ab68378940283d89dde8d8546bf5db",
    "{SCRAM-SHA-256}4096,Rwi2fQRZNJzNDUQ/Jp9NCw==,lZ2gPF8GaGjeiaXMJngUnBGCMD3kvYP8fxdfFfpvUZU=,fXX65W3chNAvYyduBUzdhL+AR/pririrlJA7aUHQ3FU=",
    "{PLAIN}pässword ✓1",
    "{CLEAR}pässword ✓1",
    "{CLEARTEXT}pässword ✓1",
    "{SSHA.HEX}4be31f1c06136834f588487930af5e5979fc68b247c0125c",
    "{ssha256}7e913563fb6f244ba810be78b0438aba038f4a09270aa0ee29a32e04044ced327f280dd2",
    "{SSHA512.HEX}5d4d66c95d7e83765c97d985fdc3a524f95ce7f5cc2c377e34aa271ded1eb20085522ea5807888b45777dd52560a3fee03342af63b276711ff4b1eb6713f64ed7e563103",
    "{SHA}067b34d2bcc3ee9b7f06955eadc172aac0f4543d",
    "{SHA256.B64}mWl//jYOl8KCf5f2CYoSbFvWu5sZbWOFxr9VH7Voe54=",
    "{SHA512.hex}396ea506d150a284bca271fcc13bff21b0eacce5617273de507d424c4c83888528e079995cd118249d2475053f57beea4468f60918a522c5c4c901cec660522a",
    "{PLAIN.B64}cMOkc3N3b3JkIOKckzE=",
    "{PLAIN.HEX}70c3a47373776f726420e29c9331",
    "{ARGON2ID.B64}JGFyZ29uMmlkJHY9MTkkbT02NTUzNix0PTMscD0xJERzVkN6Wm9WaWM0d1I4YVNLSVM4TEEka0diMmllR09WZ1NRMHN6amc4RGZnU1dmZndrM1E3Vis3QTVSaFB5MXR3QQ==",
    "{BLF-CRYPT.HEX}24327924303524665934366d39575357746168544c764453303269664f57616c4549646b53674e4a775744754e76346e456e566e746b6143724b5275",
];

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

#[test]
fn what_doveadm_made() {
    for field in MADE_BY_DOVEADM {
        let stored = Stored::parse(field).unwrap_or_else(|e| panic!("{field}: {e}"));
        assert!(stored.verify(&secret(PASSWORD)), "right password: {field}");
        for wrong in ["pässword ✓2", "pässword ✓", "", "pässword ✓1\0"] {
            assert!(!stored.verify(&secret(wrong)), "wrong password {wrong:?}: {field}");
        }
    }
}

#[test]
fn rounds_of_sha_crypt_count() {
    let stored = Stored::parse("{SHA512-CRYPT}$6$rounds=10000$XDv2uRuNMscaDEcv$P1awk3wmWBRfVSHohD29AmILqT0Tf9VBYMWPP.0jFYz1GjX6Ux3Z8X.Nt4VPqUt2Ze8SRkvZlJUV0tJTZGFKW.").unwrap();
    assert!(stored.verify(&secret("secret")));
    assert!(!stored.verify(&secret("Secret")));
}

#[test]
fn bcrypt_reads_72_bytes() {
    // Made by doveadm from 80 times x.
    let stored = Stored::parse("{BLF-CRYPT}$2y$05$X4LL2XHcjOsYzAsNiktacO/o8fbT4sEzzJ67.7hBUBTcB/kvJJHG2").unwrap();
    assert!(stored.verify(&secret(&"x".repeat(80))));
    assert!(stored.verify(&secret(&"x".repeat(72))));
    assert!(!stored.verify(&secret(&"x".repeat(71))));
    assert!(hash(Scheme::BlfCrypt, &secret(&"x".repeat(73))).unwrap_err().to_string().contains("71 bytes"));
}

#[test]
fn new_ones_verify() {
    let mut seen = Vec::new();
    for (_, scheme) in Scheme::TABLE {
        if matches!(scheme, Scheme::Sha | Scheme::Sha256 | Scheme::Sha512) {
            assert!(hash(scheme, &secret("x")).is_err());
            continue;
        }
        let field = hash(scheme, &secret("correct: horse")).unwrap();
        let stored = Stored::parse(&field).unwrap_or_else(|e| panic!("{field}: {e}"));
        assert!(stored.verify(&secret("correct: horse")), "{field}");
        assert!(!stored.verify(&secret("correct: horsf")), "{field}");
        assert!(!field.contains(':'), "a users line is split at colons: {field}");
        assert_eq!(stored.knows_scram(), matches!(stored.scheme(), Scheme::ScramSha256 | Scheme::Plain), "{field}");
        seen.push(field);
    }
    assert!(seen[0].starts_with("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$"), "{}", seen[0]);
}

#[test]
fn what_cannot_be_a_password() {
    for (password, why) in [("", "empty"), ("a\0b", "NUL"), ("a\nb", "line end"), (&"x".repeat(2000), "longer")] {
        assert!(hash(Scheme::Argon2id, &secret(password)).unwrap_err().to_string().contains(why), "{why}");
    }
}

#[test]
fn malformed_fields_say_what_is_wrong() {
    for (field, says) in [
        ("secret", "no {SCHEME}"),
        ("{ARGON2ID", "closing }"),
        ("{MD5}x", "{MD5} is unknown; known are ARGON2ID"),
        ("{SSHA.rot13}x", ".rot13 is unknown"),
        ("{PLAIN.B64}%%", "not base64"),
        ("{PLAIN.HEX}abc", "not hexadecimal"),
        ("{ARGON2ID}$argon2id$v=19$m=1", "ARGON2ID"),
        (
            "{ARGON2ID}$argon2id$v=19$m=99999999,t=3,p=1$fB3SGxIP5DEkw2UIgs68DA$3e0Qsc062uKt9E0ys16Cj/FDxuTgC6C4CaaBaWRPMdY",
            "memory",
        ),
        ("{BLF-CRYPT}$2y$05$short", "BLF-CRYPT"),
        ("{SHA512-CRYPT}$5$a$b", "begin with $6$"),
        ("{SHA512-CRYPT}$6$rounds=12$a$b", "rounds="),
        ("{SHA256-CRYPT}$5$salt$short", "43 characters"),
        ("{SSHA256}AAAA", "wrong length"),
        ("{SHA}!", "neither base64 nor"),
        ("{PBKDF2}$1$salt$0$00", "$1$salt$rounds$"),
        ("{SCRAM-SHA-256}4096,x", "StoredKey"),
    ] {
        let text = Stored::parse(field).unwrap_err().to_string();
        assert!(text.contains(says), "{field}: {text}");
    }
}
