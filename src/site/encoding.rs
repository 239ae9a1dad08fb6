//! Which coding of a file a client takes (RFC 9110 section 12.5.3).
//!
//! Owns the reading of Accept-Encoding and the order in which codings are tried. It must not know
//! files or replies. Invariants: a malformed member of the list changes nothing; without the field
//! nobody gets a coding.

use crate::config::Coding;
use crate::connection::head::{self, Request};

/// As many codings as there are; fewer are followed by `None`.
pub(super) type Codings = [Option<Coding>; 3];

/// What stands for a file that is coded so, behind the name of the original.
pub(super) const fn suffix(coding: Coding) -> &'static [u8] {
    match coding {
        Coding::Brotli => b".br",
        Coding::Zstd => b".zst",
        Coding::Gzip => b".gz",
    }
}

/// The name is the one of a coded file: it has no coded siblings of its own.
pub(super) fn is_coded(name: &[u8]) -> bool {
    Coding::ALL.iter().any(|c| name.ends_with(suffix(*c)))
}

/// The path of which `path` is a coded form, if its name says so; case does not count, as on FAT.
pub(super) fn original(path: &[u8], codings: Codings) -> Option<&[u8]> {
    codings.into_iter().flatten().find_map(|coding| {
        let suffix = suffix(coding);
        let split = path.len().checked_sub(suffix.len())?;
        let (front, end) = path.split_at_checked(split)?;
        end.eq_ignore_ascii_case(suffix).then_some(front)
    })
}

/// The configured codings in their order. Unknown words and repetitions are refused at the start.
pub(super) fn configured(words: &[String]) -> Codings {
    let mut codings = [None; 3];
    let known = words.iter().filter_map(|word| Coding::named(word));
    for (place, coding) in codings.iter_mut().zip(known) {
        *place = Some(coding);
    }
    codings
}

/// The weights of Accept-Encoding in thousandths, by what they are for; `None` is not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Accepted {
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Accepted {
    /// All field lines count as one list. Of a coding that is listed twice the smaller weight
    /// counts: who said once that it does not take it is not sent it.
    pub(super) fn of(request: &Request<'_>) -> Self {
        let mut accepted = Self::default();
        for value in request.values("Accept-Encoding") {
            for (name, weight) in head::list(value).filter_map(member) {
                if let Some(place) = accepted.place(name) {
                    *place = Some(place.map_or(weight, |other| other.min(weight)));
                }
            }
        }
        accepted
    }

    /// Where the weight of this name belongs. `x-gzip` is gzip (RFC 9110 section 8.4.1.3).
    fn place(&mut self, name: &[u8]) -> Option<&mut Option<u16>> {
        let places = [
            ("br", &mut self.brotli),
            ("zstd", &mut self.zstd),
            ("gzip", &mut self.gzip),
            ("identity", &mut self.identity),
            ("*", &mut self.any),
        ];
        let name: &[u8] = if name.eq_ignore_ascii_case(b"x-gzip") {
            b"gzip"
        } else {
            name
        };
        let mut places = places.into_iter();
        places
            .find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()))
            .map(|(_, place)| place)
    }

    /// How much the client wants this coding; 0 is not at all. One that it wants less than the
    /// original, and says so, counts as unwanted. What `*` says of the original does not count
    /// here: the original is what there is when nothing better is.
    pub(super) fn weight(&self, coding: Coding) -> u16 {
        let listed = match coding {
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        };
        let weight = listed.or(self.any).unwrap_or(0);
        if weight < self.identity.unwrap_or(0) {
            0
        } else {
            weight
        }
    }

    /// What of it decides: two clients of one taste get the same. 0 is that of who does not say.
    pub(super) fn taste(&self, codings: Codings) -> u16 {
        if *self == Self::default() {
            return 0;
        }
        self.order(codings).fold(0, |taste, coding| {
            let number = match coding {
                Coding::Brotli => 1,
                Coding::Zstd => 2,
                Coding::Gzip => 3,
            };
            taste << 3 | number << 1 | u16::from(self.weight(coding) > 0)
        })
    }

    /// The codings, those that the client wants most in front, those it does not take at the end.
    /// Equal ones stay in their order: it is the server's preference.
    pub(super) fn order(&self, mut codings: Codings) -> impl Iterator<Item = Coding> + use<> {
        // Three are sorted in place; the sort is stable.
        codings.sort_by_key(|c| std::cmp::Reverse(c.map_or(0, |c| self.weight(c))));
        codings.into_iter().flatten()
    }
}

/// `codings [ weight ]`: the name and its weight in thousandths.
fn member(text: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = text.splitn(2, |&b| b == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?;
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', value @ ..]) => thousandths(value)?,
        Some(_) => return None,
    };
    Some((name, weight))
}

/// A qvalue (RFC 9110 section 12.4.2): 0 to 1 with at most three digits behind the point.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, digits) = match value {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut weight = u16::from(whole - b'0') * 1000;
    for (digit, worth) in digits.iter().zip([100, 10, 1]) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        weight = weight.saturating_add(u16::from(digit) * worth);
    }
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::{Accepted, Coding, configured, is_coded, thousandths};
    use crate::connection::head::{Field, Framing, Method, Request, Target, Verdict, Version};

    fn accepted(values: &[&str]) -> Accepted {
        let fields: Vec<Field<'_>> = values
            .iter()
            .map(|value| Field {
                name: "accept-ENCODING",
                value: value.as_bytes(),
            })
            .collect();
        Accepted::of(&Request {
            line: b"",
            method: Method::Get,
            target: Target::Asterisk,
            host: b"",
            fields: &fields,
            verdict: Verdict {
                head_bytes: 0,
                framing: Framing::None,
                version: Version::Http11,
                keep: true,
                head_only: false,
                expects_continue: false,
            },
        })
    }

    /// The codings that are taken, in their order.
    fn taken(values: &[&str]) -> Vec<Coding> {
        let accepted = accepted(values);
        let all = configured(&["br", "zstd", "gzip"].map(str::to_owned));
        assert_eq!(accepted.order(all).count(), 3, "none is lost");
        let wanted = |coding: &Coding| accepted.weight(*coding) > 0;
        accepted.order(all).filter(wanted).collect()
    }

    #[test]
    fn weights_order_the_codings_and_the_server_breaks_ties() {
        use Coding::{Brotli, Gzip, Zstd};
        for (values, codings) in [
            (&[][..], &[][..]),
            (&[""], &[]),
            (&["gzip"], &[Gzip]),
            (&["x-gzip"], &[Gzip]),
            (&["GZip"], &[Gzip]),
            (&["gzip, deflate, br, zstd"], &[Brotli, Zstd, Gzip]),
            (&["gzip", "br"], &[Brotli, Gzip]),
            (
                &["gzip;q=0.8, br;q=0.799, zstd;q=0.801"],
                &[Zstd, Gzip, Brotli],
            ),
            (&["gzip ;\tQ=1.000 , br; q=0.5"], &[Gzip, Brotli]),
            (&["*"], &[Brotli, Zstd, Gzip]),
            (&["*;q=0.1, gzip"], &[Gzip, Brotli, Zstd]),
            (&["br;q=0, *"], &[Zstd, Gzip]),
            (&["*;q=0"], &[]),
            (&["*;q=0, gzip;q=0.001"], &[Gzip]),
            (&["gzip;q=0"], &[]),
            (&["gzip, gzip;q=0"], &[]),
            (&["gzip", "x-gzip;q=0.0"], &[]),
            (&["identity"], &[]),
            (&["identity;q=0.5, gzip;q=0.4, br;q=0.5"], &[Brotli]),
            (&["identity;q=0, gzip;q=0.1"], &[Gzip]),
            (&["deflate, compress"], &[]),
        ] {
            assert_eq!(taken(values), codings, "{values:?}");
        }
    }

    #[test]
    fn malformed_members_change_nothing() {
        for member in [
            "br;q=2",
            "br;q=1.001",
            "br;q=0.1234",
            "br;q=.5",
            "br;q=",
            "br;q",
            "br;",
            "br;q= 1",
            "br;q =1",
            "br;q=-1",
            "br;q=1,5",
            "br;q=0.5;x=1",
            "br;level=1",
            "b r",
            ";q=1",
            "br\u{e9}",
            ",,",
        ] {
            let values = [member, "gzip;q=0.5"].join(", ");
            let expected = if member == "br;q=1,5" {
                // Its comma ends the member: the first part is sound.
                vec![Coding::Brotli, Coding::Gzip]
            } else {
                vec![Coding::Gzip]
            };
            assert_eq!(taken(&[&values]), expected, "{member}");
        }
    }

    #[test]
    fn weights_have_three_digits() {
        for (text, weight) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("0.", Some(0)),
            ("1.", Some(1000)),
            ("0.5", Some(500)),
            ("0.05", Some(50)),
            ("0.999", Some(999)),
            ("1.000", Some(1000)),
            ("1.0", Some(1000)),
            ("1.1", None),
            ("0.0000", None),
            ("2", None),
            ("00", None),
            ("0,5", None),
            ("", None),
            ("0.a", None),
        ] {
            assert_eq!(thousandths(text.as_bytes()), weight, "{text:?}");
        }
    }

    #[test]
    fn coded_names_are_known() {
        for (name, coded) in [
            ("a.gz", true),
            ("a.js.br", true),
            ("a.tar.zst", true),
            ("a.tgz", false),
            ("gz", false),
            ("a.gz.txt", false),
        ] {
            assert_eq!(is_coded(name.as_bytes()), coded, "{name}");
        }
    }
}
