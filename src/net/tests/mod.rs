//! The driver against a toy protocol, over real loopback sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Settings;
use toy::{PATIENT, Plan, start};

mod toy;

#[test]
fn every_want_is_done_and_answered_in_order() {
    let fixture = start(Plan::default());
    let mut client = fixture.greeted();
    client.say("one\r\ncontinue\r\ntwo\r\npause\r\nthree\r\nwork\r\nfour\r\n");
    for line in ["one", "flushed", "two", "flushed", "three", "answer 7", "four"] {
        client.expect(line);
    }
    client.say("idle\r\n");
    client.expect("noticed");
    client.say("cut in");
    std::thread::sleep(Duration::from_millis(20));
    client.say(" half\r\nquit\r\n");
    client.expect("cut in half");
    client.expect("bye");
    client.expect_end();
    assert_eq!(fixture.gone(), "quit");
}

#[test]
fn a_half_closed_client_gets_every_answer() {
    let fixture = start(Plan::default());
    let mut client = fixture.greeted();
    client.say("work\r\npause\r\ncontinue\r\nlast\r\n");
    client.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    for line in ["answer 7", "flushed", "flushed", "last"] {
        client.expect(line);
    }
    client.expect_end();
    assert_eq!(fixture.gone(), "");
}

#[test]
fn the_last_word_arrives_although_the_client_goes_on_sending() {
    let fixture = start(Plan::default());
    for _ in 0..20 {
        let mut client = fixture.greeted();
        client.say("quit\r\n");
        client.say(&"noise\r\n".repeat(2000));
        client.expect("bye");
        client.expect_end();
    }
}

#[test]
fn starttls_and_tls_from_the_start() {
    let fixture = start(Plan::default());
    let mut client = fixture.greeted();
    client.say("tls\r\n");
    client.expect("begin");
    let mut client = fixture.tls(client.0.into_inner());
    client.say("x\r\n");
    client.expect("TLSv1.3 true");
    client.expect("x");
    let long = "y".repeat(200_000);
    client.say(&format!("{long}\r\nquit\r\n"));
    client.expect(&long);
    client.expect("bye");
    client.expect_end(); // with close_notify: without, reading would be an error

    let fixture = start(Plan { tls: true, ..Plan::default() });
    let mut client = fixture.tls(TcpStream::connect(fixture.address).unwrap());
    client.say("x\r\n");
    client.expect("hello");
    client.expect("x");
}

#[test]
fn bytes_in_clear_behind_starttls_are_never_read_under_tls() {
    let fixture = start(Plan::default());
    let mut client = fixture.greeted();
    client.say("tls-careless\r\ninjected\r\n");
    client.expect_end();
    assert_eq!(fixture.gone(), "");
}

#[test]
fn silence_and_a_byte_now_and_then_time_out_but_talking_does_not() {
    let patience = Duration::from_millis(400);
    let fixture = start(Plan { patience: Some(patience), ..Plan::default() });
    let mut silent = fixture.greeted();
    silent.expect("too slow");
    silent.expect_end();
    assert_eq!(fixture.gone(), "timed out");

    let mut trickling = fixture.greeted();
    let begun = Instant::now();
    let mut writer = trickling.0.get_ref().try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while writer.write_all(b"x").is_ok() && begun.elapsed() < PATIENT {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    trickling.expect("too slow");
    assert!(begun.elapsed() < patience * 3, "{:?}", begun.elapsed());
    drop(trickling);
    trickle.join().unwrap();

    let mut talking = fixture.greeted();
    for _ in 0..4 {
        std::thread::sleep(patience / 2);
        talking.say("x\r\n");
        talking.expect("x");
    }
}

#[test]
fn stopping_tells_idle_sessions_and_lets_transfers_finish() {
    let mut fixture = start(Plan::default());
    let mut idle = fixture.greeted();
    let mut busy = fixture.greeted();
    busy.say("transfer\r\n");
    busy.expect("transfer");
    let mut slowed = fixture.greeted();
    slowed.say("x\r\nlong pause\r\n");
    slowed.expect("x");
    let server = fixture.server.take().unwrap();
    let stopped = std::thread::spawn(move || server.stop());
    idle.expect("stopping");
    idle.expect_end();
    slowed.expect("flushed");
    slowed.expect("stopping");
    // Refused, or let in by the kernel before the port was closed, and then told nothing.
    let told = TcpStream::connect(fixture.address).and_then(|mut late| {
        late.set_read_timeout(Some(PATIENT))?;
        late.read(&mut [0; 64])
    });
    assert!(!matches!(told, Ok(1..)), "{told:?}");
    busy.say("more\r\n");
    busy.expect("more");
    busy.say("end\r\n");
    busy.expect("end");
    busy.expect("stopping");
    busy.expect_end();
    assert_eq!(stopped.join().unwrap(), 0);
}

#[test]
fn a_transfer_that_does_not_end_is_cut_at_the_limit() {
    let settings = Settings { drain: Duration::from_millis(200), ..Settings::default() };
    let mut fixture = start(Plan { settings, ..Plan::default() });
    let mut busy = fixture.greeted();
    busy.say("transfer\r\n");
    busy.expect("transfer");
    let begun = Instant::now();
    assert_eq!(fixture.server.take().unwrap().stop(), 1);
    assert!(begun.elapsed() < PATIENT);
    assert_eq!(fixture.gone(), "told to stop in a transfer");
}

#[test]
fn too_many_connections_are_told_so() {
    let settings = Settings { max_connections: 2, ..Settings::default() };
    let fixture = start(Plan { settings, ..Plan::default() });
    let one = fixture.greeted();
    let _two = fixture.greeted();
    let mut three = fixture.connect();
    three.expect("busy");
    three.expect_end();
    drop(one);
    fixture.gone();
    // The place is given back a moment after the session is dropped.
    let deadline = Instant::now() + PATIENT;
    while fixture.connect().line() != "hello" {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn caps_per_address_spare_loopback_but_count_what_a_proxy_says() {
    let settings = Settings { max_per_address: 1, proxies: vec!["127.0.0.1".parse().unwrap()], ..Settings::default() };
    let fixture = start(Plan { settings: settings.clone(), ..Plan::default() });
    let _keep = (fixture.greeted(), fixture.greeted());

    let fixture = start(Plan { settings, proxy: true, ..Plan::default() });
    let header = "PROXY TCP4 203.0.113.7 192.0.2.1 40000 25\r\n";
    let mut one = fixture.connect();
    one.say(header);
    one.expect("hello");
    let mut two = fixture.connect();
    two.say(header);
    two.expect("busy");
    two.expect_end();
    drop(one);
    assert_eq!(fixture.gone(), "from behind the proxy");
}

#[test]
fn proxy_headers_are_demanded_from_named_proxies_only() {
    let fixture = start(Plan { proxy: true, ..Plan::default() });
    let mut client = fixture.connect();
    client.expect_end(); // 127.0.0.1 is not named

    let settings = Settings { proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Settings::default() };
    let fixture = start(Plan { settings, proxy: true, ..Plan::default() });
    let mut client = fixture.connect();
    client.say("EHLO without.header.example\r\n");
    assert_eq!(client.0.read(&mut [0; 9]).unwrap_or(0), 0);
    let mut client = fixture.connect();
    client.say("PROXY TCP4 203.0.113.7 192.0.2.1 40000 25\r\nx\r\n");
    client.expect("hello");
    client.expect("x");
    drop(client);
    assert_eq!(fixture.gone(), "from behind the proxy");
}

#[test]
fn a_slow_reader_gets_everything_and_holds_up_nobody() {
    let fixture = start(Plan::default());
    let mut slow = fixture.greeted();
    slow.say("flood\r\nquit\r\n");
    std::thread::sleep(Duration::from_millis(100));
    let mut quick = fixture.greeted();
    quick.say("quit\r\n");
    quick.expect("bye");
    let mut all = Vec::new();
    slow.0.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 400 * crate::wire::STEP_BYTES + "flushed\r\nbye\r\n".len());
}

#[test]
fn work_that_panics_ends_its_own_connection_only() {
    let fixture = start(Plan::default());
    let mut bad = fixture.greeted();
    bad.say("break\r\n");
    bad.expect_end();
    let mut good = fixture.greeted();
    good.say("work\r\n");
    good.expect("answer 7");
}

#[test]
fn a_step_that_waits_for_the_disk_does_not_hold_up_others() {
    let fixture = start(Plan::default());
    let mut others: Vec<_> = (0..4).map(|_| fixture.greeted()).collect();
    let mut blocked = fixture.greeted();
    let mut worst = Duration::ZERO;
    for _ in 0..3 {
        // Let every worker fall asleep, so that the blocking step runs on the thread that polled.
        std::thread::sleep(Duration::from_millis(60));
        blocked.say("block\r\n");
        std::thread::sleep(Duration::from_millis(20));
        for other in &mut others {
            let asked = Instant::now();
            other.say("x\r\n");
            other.expect("x");
            worst = worst.max(asked.elapsed());
        }
        blocked.expect("block");
    }
    assert!(worst < Duration::from_millis(200), "a neighbour waited {worst:?} for a step of 600 ms");
}
