//! Prefaces, whole and cut.

use super::*;

/// The verdict on `bytes` as they come: when it is final, and at which byte.
fn hear(bytes: &[u8]) -> (Preface, usize) {
    let verdicts: Vec<Preface> = (0..=bytes.len()).map(|n| parse(&bytes[..n])).collect();
    let at = verdicts
        .iter()
        .position(|verdict| *verdict != Preface::More)
        .unwrap_or(bytes.len());
    for (n, verdict) in verdicts.iter().enumerate().skip(at) {
        assert_eq!(*verdict, verdicts[at], "cut at {n}: {bytes:?}");
    }
    (verdicts[at], at)
}

fn client(text: &str) -> Option<Client> {
    match text {
        "" => None,
        "unix" => Some(Client::Unix),
        address => Some(Client::from_address(address.parse().unwrap())),
    }
}

/// It is whole, and says so at its last byte, whatever is behind it.
fn good(bytes: &[u8], named: &str) {
    let done = Preface::done(bytes.len(), client(named));
    let with_request = [bytes, b"GET / HTTP/1.1\r\n"].concat();
    for bytes in [bytes, &with_request] {
        let (verdict, at) = hear(bytes);
        assert_eq!(verdict, done, "{}", String::from_utf8_lossy(bytes));
        assert_eq!(Preface::done(at, client(named)), done);
    }
}

/// It is refused at its last byte, not before.
fn bad_at_its_end(bytes: &[u8]) {
    let shown = String::from_utf8_lossy(bytes);
    assert_eq!(hear(bytes), (Preface::Bad, bytes.len()), "{shown:?}");
}

#[test]
fn lines_name_the_client() {
    let v6_long = "2001:0db8:0000:0000:0000:0000:192.168.100.100";
    for (line, named) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n", "192.0.2.1"),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0"),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            "255.255.255.255",
        ),
        ("PROXY TCP6 2001:db8::1 ::1 1 80\r\n", "2001:db8::1"),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 80\r\n", "192.0.2.1"),
        (
            "PROXY TCP6 1:2:3:4:5:6:7:8 ::ffff:255.255.255.255 65535 65535\r\n",
            "1:2:3:4:5:6:7:8",
        ),
        (&format!("PROXY TCP6 {v6_long} :: 1 1\r\n"), v6_long),
        ("PROXY UNKNOWN\r\n", ""),
        ("PROXY UNKNOWN \r\n", ""),
        ("PROXY UNKNOWN anything at all, 1.2.3.4\r\n", ""),
        (&format!("PROXY UNKNOWN {}\r\n", "f".repeat(107 - 16)), ""),
    ] {
        good(line.as_bytes(), named);
    }
}

#[test]
fn lines_are_refused_at_the_byte_that_spoils_them() {
    for line in [
        "X",
        "G",
        "PO",
        "PRO\r",
        "PROXY\t",
        "PROXY  ",
        "PROXY t",
        "PROXY TCP5",
        "PROXY TCP\r",
        "PROXY TCP4\r",
        "PROXY TCP44",
        "PROXY UNKNOWNS",
        "PROXY UNKNOWN x\n",
        "PROXY UNKNOWN\n",
        "PROXY TCP4 a",
        "PROXY TCP4 :",
        "PROXY TCP4  ",
        "PROXY TCP4 256.0.0.1 ",
        "PROXY TCP4 192.0.2 ",
        "PROXY TCP4 192.0.2.01 ",
        "PROXY TCP4 192.0.2.1\r",
        "PROXY TCP4 1234567890123456",
        "PROXY TCP4 192.0.2.1 192.0.2.2\r",
        "PROXY TCP4 192.0.2.1 192.0.2.2 \r",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r",
        "PROXY TCP4 192.0.2.1 192.0.2.2  ",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 70000",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 8 ",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 8\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 8\rG",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 8\r\r",
        "PROXY TCP6 [",
        "PROXY TCP6 ::1%",
        "PROXY TCP6 1:2:3:4:5:6:7:8:9 ",
        "PROXY TCP6 1.2.3.4 ",
        "PROXY TCP6 ::g",
        "PROXY TCP4 \u{0}",
    ] {
        bad_at_its_end(line.as_bytes());
    }
    // No CR where the last one could stand.
    let long = format!("PROXY UNKNOWN {}", "f".repeat(106 - 14));
    assert_eq!(long.len(), 106);
    bad_at_its_end(long.as_bytes());
}

#[test]
fn a_line_that_comes_at_once_is_refused_as_one_that_comes_by_the_byte() {
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 80\r\n";
    assert_eq!(hear(line), (Preface::Bad, line.len() - "1 80\r\n".len()));
}

/// A preface of version 2: command, family, addresses and what is behind them.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

#[test]
fn binary_prefaces_name_the_client_and_the_rest_is_skipped() {
    let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x12, 0x67, 1, 187];
    let v6: Vec<u8> = (0..36).collect();
    let mut mapped = [0; 36];
    mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    let tlv = [&v4[..], &[4, 0, 3, 9, 9, 9]].concat();
    let most = [&v4[..], &[7; 520 - 12]].concat();
    for (command, family, rest, named) in [
        (0x21, 0x11, &v4[..], "192.0.2.1"),
        (0x21, 0x11, &tlv, "192.0.2.1"),
        (0x21, 0x11, &most, "192.0.2.1"),
        (0x21, 0x21, &v6, "1:203:405:607:809:a0b:c0d:e0f"),
        (0x21, 0x21, &mapped, "192.0.2.1"),
        (0x21, 0x31, &[0; 216], "unix"),
        (0x21, 0x31, &[b'x'; 300], "unix"),
        (0x21, 0x00, &[], ""),
        (0x21, 0x00, &[1; 9], ""),
        (0x21, 0x01, &v4, ""),
        (0x21, 0x10, &v4, ""),
        (0x20, 0x00, &[], ""),
        (0x20, 0x11, &v4, ""),
        (0x20, 0xff, &[1, 2], ""), // a local command says nothing, whatever else it says
    ] {
        good(&binary(command, family, rest), named);
    }
}

#[test]
fn binary_prefaces_are_refused_at_the_byte_that_spoils_them() {
    for at in 0..SIGNATURE.len() {
        let mut wrong = SIGNATURE[..=at].to_vec();
        wrong[at] ^= 0x40;
        bad_at_its_end(&wrong);
    }
    for tail in [
        &[0x11][..],   // version 1
        &[0x31],       // version 3
        &[0x22],       // a command that is not known
        &[0x21, 0x12], // datagrams
        &[0x21, 0x22],
        &[0x21, 0x32],
        &[0x21, 0x13],
        &[0x21, 0x41],        // a family that is not known
        &[0x21, 0x11, 0, 11], // shorter than its addresses
        &[0x21, 0x21, 0, 35],
        &[0x21, 0x31, 0, 215],
        &[0x21, 0x11, 2, 9], // 521: one byte above the bound
        &[0x20, 0x00, 2, 9],
        &[0x21, 0x11, 3], // at least 768
        &[0x20, 0x00, 255],
    ] {
        bad_at_its_end(&[SIGNATURE, tail].concat());
    }
}

#[test]
fn nothing_is_waited_for_beyond_the_bound() {
    let fronts: [&[u8]; 6] = [
        b"",
        b"P",
        b"PROXY UNKNOWN ",
        b"PROXY TCP4 192.0.2.1 ",
        b"PROXY TCP6 ",
        SIGNATURE,
    ];
    let mut longest = 0;
    for front in fronts {
        for smallest in [true, false] {
            let mut bytes = front.to_vec();
            loop {
                let goes_on = |byte: &u8| parse(&[&bytes[..], &[*byte]].concat()) == Preface::More;
                let mut all = (0..=u8::MAX).filter(goes_on);
                let next = if smallest {
                    all.next()
                } else {
                    all.next_back()
                };
                let Some(byte) = next else { break };
                bytes.push(byte);
            }
            longest = longest.max(bytes.len());
        }
    }
    assert_eq!(longest, PREFACE_BYTES_MAX - 1);
}
