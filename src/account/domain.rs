//! Domain names in the one form in which they are compared.
//!
//! Owns the turning of a name as people write it (`Bücher.Example`) into lower case and A-labels
//! (`xn--bcher-kva.example`, RFC 5890, Punycode of RFC 3492). A name without other letters costs a lower-casing.
//! Unicode normalization is not done: names are expected composed (NFC), as keyboards write them. An address literal
//! (`[192.0.2.1]`) stays as it is.

/// Octets of a name that is looked at: no domain is as long, in whatever form, and the work for a label grows with its square.
const MAX_NAME: usize = 1024;

/// The form that is compared and that names the directory of a domain.
pub fn canonical(domain: &str) -> String {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_ascii() || domain.len() > MAX_NAME {
        return domain.to_ascii_lowercase();
    }
    // IDEOGRAPHIC FULL STOP and its relatives are dots too (RFC 3490 3.1).
    let dots = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];
    let labels: Vec<String> = domain.to_lowercase().split(dots).map(label).collect();
    labels.join(".")
}

fn label(label: &str) -> String {
    if label.is_ascii() { label.to_owned() } else { format!("xn--{}", punycode(label)) }
}

// Parameters of RFC 3492 5.
const BASE: u32 = 36;
const TMIN: u32 = 1;
const TMAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// RFC 3492 6.3, the encoding procedure. Sums saturate: a label that long is no domain and matches none.
fn punycode(label: &str) -> String {
    let points: Vec<u32> = label.chars().map(u32::from).collect();
    let mut text: String = label.chars().filter(char::is_ascii).collect();
    let basic = text.chars().count();
    if basic > 0 {
        text.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while handled < points.len() {
        let next = points.iter().copied().filter(|point| *point >= n).min().unwrap_or(n);
        let width = u32::try_from(handled + 1).unwrap_or(u32::MAX);
        delta = delta.saturating_add((next - n).saturating_mul(width));
        n = next;
        for point in &points {
            if *point < n {
                delta = delta.saturating_add(1);
            } else if *point == n {
                variable_length(&mut text, delta, bias);
                bias = adapt(delta, u32::try_from(handled + 1).unwrap_or(u32::MAX), handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.saturating_add(1);
        n += 1;
    }
    text
}

fn variable_length(text: &mut String, delta: u32, bias: u32) {
    let mut rest = delta;
    let mut k = BASE;
    loop {
        let threshold = if k <= bias { TMIN } else { (k - bias).min(TMAX) };
        if rest < threshold {
            break text.push(digit(rest));
        }
        text.push(digit(threshold + (rest - threshold) % (BASE - threshold)));
        rest = (rest - threshold) / (BASE - threshold);
        k += BASE;
    }
}

fn digit(value: u32) -> char {
    const DIGITS: &[u8; BASE as usize] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    char::from(DIGITS[value as usize])
}

/// RFC 3492 6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > (BASE - TMIN) * TMAX / 2 {
        delta /= BASE - TMIN;
        k += BASE;
    }
    k + (BASE - TMIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names() {
        for (name, form) in [
            ("Example.ORG", "example.org"),
            ("example.org.", "example.org"),
            ("Bücher.Example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
            ("правда。рф", "xn--80aafi6cg.xn--p1ai"),
            ("[192.0.2.1]", "[192.0.2.1]"),
        ] {
            assert_eq!(canonical(name), form, "{name}");
        }
    }

    #[test]
    fn absurd_names_end() {
        let long = "\u{10ffff}".repeat(200) + &"a\u{80}".repeat(70);
        assert!(canonical(&long).starts_with("xn--"));
        let longer: String = ('\u{4e00}'..'\u{9fff}').collect();
        assert_eq!(canonical(&longer), longer, "no domain is as long: no work is done for it");
    }
}
