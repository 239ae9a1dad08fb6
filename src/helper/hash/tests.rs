//! Lines that the real tools have made, and what can be wrong with them.
//!
//! Apache's htpasswd 2.4, OpenSSL 3.0.19, mkpasswd 5.5.17, and crypt(3) of libxcrypt through perl.

use super::*;

const PASSWORD: &str = "wonderland";
const FOREIGN: &str = "gr\u{fc}\u{df}e \u{2603}";

/// A line, and how often an `x` its password is.
const LONG: &[(&str, usize)] = &[
    // htpasswd -nbB -C 4 long $(printf 'x%.0s' $(seq 72)), and 73
    (
        "$2y$04$M1pkQDOM7pMojxqM1Hiqs.desznGlgyBlbgi8vIf9Oax0Gi38t/nu",
        72,
    ),
    (
        "$2y$04$V7q8UZaCcR5TeOyDWLah7OaFNag4ludamxCph2voQ9FKaJtHty.dS",
        73,
    ),
    // mkpasswd -m sha-256 $(printf 'x%.0s' $(seq 255)), and sha-512
    (
        "$5$CPwr2VMRv6PUMeVo$dLStLnYn/tGPvmFt0id7kMu5Jj7hkxQCkUxTvD/lTvA",
        255,
    ),
    (
        "$6$bOBfStF3Ptl5lWwm$SGNtMM7Odd1TSyu84WW4C30MzRq.xRxH.V7wSAtL5Avx6N9k2JH6bJwbDf4fm0vmrqJ0A\
         Zmhehj.WeNjUsfZ7.",
        255,
    ),
    // openssl passwd -apr1 -salt abcdefgh $(printf 'x%.0s' $(seq 255))
    ("$apr1$abcdefgh$.5y1/SnmKOyKwUkqskf9B0", 255),
];

/// A line and its password.
const KNOWN: &[(&str, &str)] = &[
    // htpasswd -nbB -C 4 alice wonderland
    (
        "$2y$04$Zmh1ITXEUKfZO6W.aQJhSO6HA9fUCUzhcXraJPCS8yyIQbQfbDS/C",
        PASSWORD,
    ),
    // htpasswd -nbB -C 5 empty ''
    (
        "$2y$05$POdS5PPaGXE4y8eQZHLgMOX4cNDB6t7FLkQQxSlNP07GNR7MpwUoy",
        "",
    ),
    // htpasswd -nbB -C 4 utf 'gr.. .'
    (
        "$2y$04$GSDm4M7S75mTaXf/FSNFBOWyCi07keIhLm9aNUmRTr1/v0K2YOw7.",
        FOREIGN,
    ),
    // mkpasswd -m bcrypt-a -R 5 wonderland
    (
        "$2a$05$aPircToMqLafmEwUjW724.bb.Kr2Rx.bgaX7UC9qq6F7IhLTDaRSe",
        PASSWORD,
    ),
    // mkpasswd -m bcrypt -R 5 wonderland
    (
        "$2b$05$xgNFPL9VtX71j18RRx/M6.jxFzAXthSaTxk1qJIKlawuBehnlI9dK",
        PASSWORD,
    ),
    // htpasswd -nbm alice wonderland
    ("$apr1$cuYZlQqn$hObiURbzXG1cT5CC9Fizq/", PASSWORD),
    // htpasswd -nbm empty ''
    ("$apr1$UEcX8Bo5$SCbrmUou0vF6T25O3wj.m0", ""),
    // htpasswd -nbm utf 'gr.. .'
    ("$apr1$svGC6j7I$EVYuesatPPKGx4Vt5CVuV.", FOREIGN),
    // openssl passwd -apr1 -salt ab wonderland
    ("$apr1$ab$1NDg3q7t1vFBIqKhpTlIi1", PASSWORD),
    // openssl passwd -apr1 -salt abcdefgh 'a password that ...'
    (
        "$apr1$abcdefgh$gH2oEzZ/.rysd..JWb28B/",
        "a password that is longer than one block of sixteen",
    ),
    // openssl passwd -5 -salt saltstring wonderland
    (
        "$5$saltstring$P8WxiZdsQgEV/WrUJLFhcY321KVz2YovpJcf0/DrUQ2",
        PASSWORD,
    ),
    // openssl passwd -5 'gr.. .'
    (
        "$5$NdUjtRzZcWt.vN0A$GdBPcDWj7L0MGWiuu4cU7FWxqZwso3UI4OzFxP70A7B",
        FOREIGN,
    ),
    // htpasswd -nb2 empty ''
    (
        "$5$JtateKiCiSJcjpNh$IoC1bZlhTBHTjgYPNMZc8i8EJIPp7GenUC/a4hgb302",
        "",
    ),
    // mkpasswd -m sha-256 -R 1000 wonderland
    (
        "$5$rounds=1000$cvudDNEkpr4wdTUZ$m8ph.N6Esa30QdJBF7KXqgy/MH0Kcf6j4Zqi5KhK6.2",
        PASSWORD,
    ),
    // perl -e 'print crypt("", q($5$$)), crypt("wonderland", q($5$$))'
    ("$5$$3c2QQ0KjIU1OLtB29cl8Fplc2WN7X89bnoEjaR7tWu.", ""),
    ("$5$$nb6uMZ93d2HM6Pkh6zMFIl7F2wxA7GWrccFIONGjskC", PASSWORD),
    // openssl passwd -6 -salt saltstring wonderland
    (
        "$6$saltstring$Q78qN3hztgTquoWC9NtuDHj45jbqRGGbA4LEwaFxw3MHtUvbisWpNl2GcJxgV8s4WnkDTKEyVi\
         X3xD6jBJP0B0",
        PASSWORD,
    ),
    // mkpasswd -m sha-512 -R 12345 wonderland
    (
        "$6$rounds=12345$.qbwUJAiEbEPOaul$9HQWX6OGkX65RkTI4wyxjfJzSl.4zs5ifxfitSuoF4Q69d0EUA8Mt8k\
         VYjx.D4dilwB1xasxYW6cZ8l89ZWF71",
        PASSWORD,
    ),
    // mkpasswd -m sha-512 'gr.. .'
    (
        "$6$WVdNQMhEqj8E7Gnk$kThrEXACEHEQFV7ONE.P.GBJSbysA/Y8mcYnHzVy9c1zAEZ/yj/.qZJRIO68JCJB9WfX\
         2fCZbCKIhl.6fjM/w/",
        FOREIGN,
    ),
    // htpasswd -nb5 empty ''
    (
        "$6$BAiyw8UhtKYT.5.x$QnAxSOnWrm5iVUkqrmYxTNECjsNQzcvc/PQ4pVtOe81WklFz6Y1YfStGXrJbTF8fRXWd\
         kxZFDzBusjMcDd8VQ0",
        "",
    ),
];

fn is(stored: &str, password: &[u8]) -> bool {
    verify(stored.as_bytes(), password, false)
}

#[test]
fn lines_of_the_real_tools_let_their_passwords_in_and_no_other() {
    for (stored, password) in KNOWN {
        assert!(is_sound(stored.as_bytes(), false), "{stored}");
        assert!(is(stored, password.as_bytes()), "{stored}");
        let longer = format!("{password}x");
        let shorter = &password.as_bytes()[..password.len().saturating_sub(1)];
        for wrong in [longer.as_bytes(), b"wonderlanD", b"Wonderland", b" "] {
            assert!(!is(stored, wrong), "{stored}");
        }
        assert!(password.is_empty() || !is(stored, shorter), "{stored}");
        assert!(password.is_empty() || !is(stored, b""), "{stored}");
        // A caller that allows plain passwords gets no second way in: not with the hash.
        assert!(verify(stored.as_bytes(), password.as_bytes(), true));
        assert!(!verify(stored.as_bytes(), stored.as_bytes(), true));
    }
}

#[test]
fn long_passwords_count_whole_but_for_bcrypt_which_takes_72_bytes() {
    for (stored, length) in LONG {
        let of = |length: usize| is(stored, &vec![b'x'; length]);
        assert!(of(*length), "{stored}");
        assert!(!of(71) && !of(256), "{stored}");
        let bcrypt = stored.starts_with("$2");
        for other in [72, 73, 74, 254, 255].iter().filter(|n| *n != length) {
            assert_eq!(of(*other), bcrypt, "{stored} {other}");
        }
        let mut last = vec![b'x'; *length];
        last[length.min(&72) - 1] = b'y';
        assert!(!is(stored, &last), "{stored}");
    }
}

#[test]
fn a_nul_is_no_end_of_a_password_and_no_part_of_one() {
    for (stored, password) in KNOWN {
        for tail in [&b"\0"[..], b"\0x", b"\0wonderland\0"] {
            let with = [password.as_bytes(), tail].concat();
            assert!(!is(stored, &with), "{stored}");
        }
    }
    // bcrypt repeats a key with its NUL, so these would be one.
    assert!(!is(KNOWN[0].0, b"wonderland\0wonderland"));
    assert!(!verify(b"a\0b", b"a\0b", true));
}

#[test]
fn work_that_would_take_too_long_is_refused_unseen() {
    // perl -e 'print crypt("x", q($2b$14$Zmh1ITXEUKfZO6W.aQJhSO)), ...': they are all sound.
    let bcrypt_14 = "$2b$14$Zmh1ITXEUKfZO6W.aQJhSONSu5TQD2QOCvrwg/L7mgtw.NqSf20Ta";
    let bcrypt_15 = "$2b$15$Zmh1ITXEUKfZO6W.aQJhSOMl9eZ9SJMGlYCmZD6Avou34dgb269yq";
    let bcrypt_16 = "$2y$16$Zmh1ITXEUKfZO6W.aQJhSOhWVbq.z3vFD9UnBF9mKzRhXZ39BvLky";
    let most = "$5$rounds=1000000$salt$ORGZC0A3wy1xjks1aO6yvW7/dcPaLuCRn9aNC1C6bs7";
    let more = "$5$rounds=1000001$salt$FFkWISm3Es2O3WvTOHtX1XPNFYCHZZzcZaTNpRJZDyC";
    assert!(is_sound(bcrypt_14.as_bytes(), false));
    assert!(is_sound(most.as_bytes(), false));
    for absurd in [bcrypt_15, bcrypt_16, more] {
        assert!(!is_sound(absurd.as_bytes(), false), "{absurd}");
        assert!(!is(absurd, b"x"), "{absurd}");
    }
    for cost in ["31", "32", "99", "00", "03", "4$", "+5", " 5", "x5"] {
        let absurd = bcrypt_14.replace("$14$", &format!("${cost}$"));
        assert!(!is_sound(absurd.as_bytes(), false), "{absurd}");
    }
    for rounds in [
        "999",
        "0",
        "",
        "01000",
        "+1000",
        "-1",
        "1000x",
        "999999999",
        "4294968296",
        "1e3",
        "18446744073709552616",
        "rounds=1000",
    ] {
        let absurd = most.replace("1000000", rounds);
        assert!(!is_sound(absurd.as_bytes(), false), "{absurd}");
    }
}

#[test]
fn other_forms_and_broken_ones_deny() {
    for wrong in [
        "",
        "$",
        "$$",
        "$$$",
        "$5",
        "$5$",
        "$5$$",
        "$6$salt$",
        "$apr1$",
        "$apr1$$",
        "$2y$",
        "$2y$04$",
        // htpasswd -nbs, -nbd; slappasswd; md5crypt of crypt(3)
        "{SHA}tiY7sUhYKUwI5L3866kDY+ENcrQ=",
        "l0eHkm7J1z2wE",
        "{SSHA}DkMTwBl+a/3DfPxQeaV+7kPhFyIk8rhT",
        "$1$saltstri$K4glb9vqo4lGBoPqvvnVb1",
        // The broken form of bcrypt, and a salt with bits that do not belong to it.
        "$2x$04$Zmh1ITXEUKfZO6W.aQJhSO6HA9fUCUzhcXraJPCS8yyIQbQfbDS/C",
        "$2$04$Zmh1ITXEUKfZO6W.aQJhSO6HA9fUCUzhcXraJPCS8yyIQbQfbDS/C",
        "$2y$04$Zmh1ITXEUKfZO6W.aQJhSP6HA9fUCUzhcXraJPCS8yyIQbQfbDS/C",
        // A blank behind, signs too few, a salt too long.
        "$2y$04$Zmh1ITXEUKfZO6W.aQJhSO6HA9fUCUzhcXraJPCS8yyIQbQfbD",
        "$apr1$cuYZlQqn$hObiURbzXG1cT5CC9Fizq/ ",
        "$apr1$cuYZlQqn$hObiURbzXG1cT5CC9Fizq",
        "$apr1$cuYZlQqnn$hObiURbzXG1cT5CC9Fizq/",
        "$5$01234567890123456$P8WxiZdsQgEV/WrUJLFhcY321KVz2YovpJcf0/DrUQ2",
        "$5$saltstring$P8WxiZdsQgEV/WrUJLFhcY321KVz2YovpJcf0/DrUQ2$",
        "$6$saltstring$P8WxiZdsQgEV/WrUJLFhcY321KVz2YovpJcf0/DrUQ2",
        "wonderland",
        "\u{2603}",
    ] {
        assert!(!is_sound(wrong.as_bytes(), false), "{wrong}");
        for password in [PASSWORD, "", wrong] {
            assert!(!is(wrong, password.as_bytes()), "{wrong}");
        }
        if wrong.is_empty() || wrong.starts_with(['$', '{']) {
            assert!(!verify(wrong.as_bytes(), wrong.as_bytes(), true), "{wrong}");
        }
    }
}

#[test]
fn a_password_stands_there_as_it_is_only_if_the_caller_says_so() {
    let long = [b'l'; 255];
    for stored in [&b"wonderland"[..], b"pa:ss word", b"\xff", &long] {
        assert!(verify(stored, stored, true) && is_sound(stored, true));
        assert!(!verify(stored, stored, false) && !is_sound(stored, false));
        assert!(!verify(stored, b"", true));
        assert!(!verify(stored, &stored[1..], true) || stored.len() == 1);
        assert!(!verify(stored, &[stored, b"x"].concat(), true));
    }
    // Nothing is no password, and what is padded with is none either.
    assert!(!verify(b"", b"", true));
    assert!(!verify(b"wonderland\0", b"wonderland", true));
    assert!(!verify(&[b'l'; 256], &[b'l'; 256], true));
}

/// The same numbers in every run.
struct Random(u32);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(self.0 >> 8).unwrap() % most
    }
}

#[test]
fn mutilated_lines_neither_panic_nor_let_anybody_in() {
    let mut random = Random(7);
    let signs = b"$./09azAZ:=\0\r\x80\xffrounds{}bcy256apr1";
    // bcrypt under another letter is the same hash.
    let same = |one: &[u8], other: &[u8]| {
        let letter = |line: &[u8]| line.get(2).is_some_and(|sign| b"aby".contains(sign));
        let rest = |line: &[u8]| line.get(3..).map(<[u8]>::to_vec);
        one == other || letter(one) && letter(other) && rest(one) == rest(other)
    };
    let mut sound = 0;
    for _ in 0..8000 {
        let (stored, password) = KNOWN[random.below(KNOWN.len())];
        let mut bad = stored.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let (at, sign) = (random.below(bad.len()), signs[random.below(signs.len())]);
            match random.below(4) {
                0 => bad.truncate(at.max(1)),
                1 => bad.insert(at, sign),
                2 => bad.extend_from_within(at..),
                _ => bad[at] = sign,
            }
        }
        // What has become expensive is not worth the time here.
        let expensive = bad.starts_with(b"$5$rounds") || bad.starts_with(b"$6$rounds");
        if same(&bad, stored.as_bytes()) || expensive && is_sound(&bad, false) {
            continue;
        }
        sound += u32::from(is_sound(&bad, false));
        for plain in [false, true] {
            let shown = bad.escape_ascii();
            assert!(!verify(&bad, password.as_bytes(), plain), "{shown}");
        }
    }
    // Among them are many that cost the work.
    assert!(sound > 300, "{sound}");
}

#[test]
fn noise_neither_panics_nor_lets_anybody_in() {
    let mut random = Random(11);
    for _ in 0..20_000 {
        let length = random.below(100);
        let mut noise: Vec<u8> = b"$5$".to_vec();
        noise[1] = b"56a2"[random.below(4)];
        for _ in 0..length {
            noise.push(u8::try_from(random.below(256)).unwrap());
        }
        assert!(!verify(&noise, b"x", true));
    }
}
