//! FETCH responses as values, so that it does not matter how a server chose to write a string.

use std::collections::BTreeMap;

use crate::support::Client;

/// What a response is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// NIL, a number, a name.
    Atom(String),
    /// A quoted string or literal.
    Text(Vec<u8>),
    /// In parentheses.
    List(Vec<Value>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Atom(atom) => f.write_str(atom),
            Value::Text(text) => write!(f, "\"{}\"", String::from_utf8_lossy(text)),
            Value::List(values) => {
                f.write_str("(")?;
                for (n, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if n > 0 { " " } else { "" })?;
                }
                f.write_str(")")
            }
        }
    }
}

/// One message: item names and values.
pub type Fetched = BTreeMap<String, Value>;

/// Send a FETCH command that must be answered OK; its responses in order.
pub fn fetch(client: &mut Client, command: &str) -> Vec<Fetched> {
    client.send(&format!("f {command}"));
    let mut all = Vec::new();
    loop {
        let line = response(client);
        if line.starts_with(b"f ") {
            assert!(line.starts_with(b"f OK"), "{command}: {}", String::from_utf8_lossy(&line));
            return all;
        }
        let mut words = line.splitn(4, |b| *b == b' ').skip(2);
        if words.next() == Some(b"FETCH") {
            let mut reader = Reader { bytes: words.next().expect("a list"), at: 0 };
            let Value::List(values) = reader.value() else { panic!("FETCH without a list") };
            let pairs = values.chunks(2).map(|pair| (pair[0].to_string(), pair[1].clone()));
            all.push(pairs.collect());
        }
    }
}

/// A line, with the literals in it and what follows them.
fn response(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let line = client.raw_line();
        all.extend_from_slice(&line);
        let text = line.strip_suffix(b"\r\n").expect("a whole line");
        let size = text.strip_suffix(b"}").and_then(|text| {
            let open = text.iter().rposition(|b| *b == b'{')?;
            std::str::from_utf8(&text[open + 1..]).ok()?.parse().ok()
        });
        match size {
            Some(size) => all.extend(client.bytes(size)),
            None => return all,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Value {
        match self.bytes[self.at] {
            b'(' => self.list(),
            b'"' => self.quoted(),
            b'{' => self.literal(),
            _ => self.atom(),
        }
    }

    fn list(&mut self) -> Value {
        let mut values = Vec::new();
        self.at += 1;
        while self.bytes[self.at] != b')' {
            if self.bytes[self.at] == b' ' {
                self.at += 1;
            } else {
                values.push(self.value());
            }
        }
        self.at += 1;
        Value::List(values)
    }

    fn quoted(&mut self) -> Value {
        let mut text = Vec::new();
        self.at += 1;
        while self.bytes[self.at] != b'"' {
            self.at += usize::from(self.bytes[self.at] == b'\\');
            text.push(self.bytes[self.at]);
            self.at += 1;
        }
        self.at += 1;
        Value::Text(text)
    }

    fn literal(&mut self) -> Value {
        let rest = &self.bytes[self.at + 1..];
        let close = rest.iter().position(|b| *b == b'}').expect("}");
        let size: usize = std::str::from_utf8(&rest[..close]).expect("digits").parse().expect("a size");
        let start = self.at + 1 + close + 3;
        self.at = start + size;
        Value::Text(self.bytes[start..start + size].to_vec())
    }

    fn atom(&mut self) -> Value {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|b| b" ()\r".contains(b)).unwrap_or(rest.len());
        self.at += len;
        Value::Atom(String::from_utf8_lossy(&rest[..len]).into_owned())
    }
}
