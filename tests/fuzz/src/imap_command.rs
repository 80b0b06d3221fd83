//! IMAP's grammar: every argument that a command can have, read from any bytes. Each either is one or is not, and reading ends behind it.

use mailcote::imap::parse::Cursor;

/// Try one reader from the beginning; where it ended must lie within the bytes.
fn read<T, E>(data: &[u8], reader: impl FnOnce(&mut Cursor<'_>) -> Result<T, E>) -> Option<T> {
    let mut cursor = Cursor::new(data);
    let read = reader(&mut cursor).ok();
    assert!(cursor.position() <= data.len());
    read
}

/// All of them.
pub fn run(data: &[u8]) {
    read(data, |c| c.tag().map(str::len));
    read(data, |c| c.astring().map(|s| s.len()));
    read(data, |c| c.nstring().map(|s| s.map(|s| s.len())));
    read(data, |c| c.literal8().map(<[u8]>::len));
    read(data, |c| c.literal_head());
    read(data, |c| c.date_time());
    read(data, |c| c.date());
    read(data, |c| c.flags());
    read(data, |c| c.fetch());
    read(data, |c| c.section(true));
    read(data, |c| c.search());
    read(data, |c| c.search_criteria());
    read(data, |c| c.search_returns(&mut Vec::new()));
    read(data, |c| c.partial_range());
    read(data, |c| c.sort_criteria());
    read(data, |c| c.thread_algorithm());
    read(data, |c| c.status_items());
    read(data, |c| c.select_params());
    read(data, |c| c.message_set().map(drop));
    if let Some(set) = read(data, |c| c.sequence_set()) {
        for star in [0, 1, 7, u32::MAX] {
            let ranges = set.normalize(star);
            assert!(ranges.iter().all(|(from, to)| from <= to), "{ranges:?}");
            assert!(ranges.windows(2).all(|two| two[0].1 < two[1].0), "sorted, and none touches another: {ranges:?}");
        }
    }
    if let Some(Ok(name)) = read(data, |c| c.mailbox().map(|mailbox| mailbox.name())) {
        assert!(!name.as_str().is_empty());
        assert!(name.parts().all(|part| !part.is_empty() && part != "." && part != ".."), "{name}");
    }
    let _ = Cursor::new(data).notify().map(drop);
    let _ = Cursor::new(data).list_arguments().map(drop);
    let _ = Cursor::new(data).get_metadata().map(drop);
    let _ = Cursor::new(data).set_metadata().map(drop);
}
