//! Positions in words, as textbooks print them: `long 1 future`, `short 2 Dec 410 calls, long 1 future`.

use super::field::Reason;

/// So many of the contract whose array is row `row`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leg {
    /// Which of the names.
    pub(super) row: usize,
    /// Positive is long.
    pub(super) quantity: i64,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The legs of a position. Case, plurals and the order of the words of a name do not matter; a count that is not there
/// is 1; each `long` or `short` begins a leg, and so does each comma, plus, slash or `and`. A position without either
/// word is long, as the arrays are; beside a leg that has one, a leg without is refused.
pub(super) fn legs(text: &str, names: &[&str]) -> Result<Vec<Leg>, Reason> {
    let bad = || format!("`{text}` is not a position such as `long 1 future`");
    let mut parts: Vec<Vec<String>> = Vec::new();
    for piece in text.to_lowercase().split([',', '+', '/', ';', '&']) {
        let words: Vec<String> = piece.split_whitespace().map(singular).collect();
        for words in words.split(|word| word == "and").filter(|words| !words.is_empty()) {
            parts.extend(at_sides(words));
        }
    }
    let unsided = parts.iter().any(|part| !part.iter().any(|word| is_side(word)));
    if parts.is_empty() || (unsided && parts.len() > 1) {
        return Err(bad());
    }
    parts.iter().map(|part| leg(part, names).ok_or_else(bad)).collect()
}

fn is_side(word: &str) -> bool {
    word == "long" || word == "short"
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// `futures` is `future`.
fn singular(word: &str) -> String {
    let stem = word.strip_suffix('s').filter(|stem| stem.len() > 1 && !is_number(stem));
    stem.unwrap_or(word).to_owned()
}

/// One run of words per `long` or `short`. A count may stand before its side: `1 long future 2 short call`.
fn at_sides(words: &[String]) -> Vec<Vec<String>> {
    let sides: Vec<usize> = (0..words.len()).filter(|at| is_side(&words[*at])).collect();
    let begin = |side: usize| {
        let counted_after = words.get(side + 1).is_some_and(|word| is_number(word));
        let counted_before = side > 0 && is_number(&words[side - 1]);
        if counted_before && !counted_after { side - 1 } else { side }
    };
    let mut cuts = vec![0];
    cuts.extend(sides.iter().skip(1).map(|side| begin(*side)));
    cuts.push(words.len());
    cuts.windows(2).map(|cut| words[cut[0]..cut[1]].to_vec()).collect()
}

fn leg(words: &[String], names: &[&str]) -> Option<Leg> {
    let sides: Vec<&str> = words.iter().map(String::as_str).filter(|word| is_side(word)).collect();
    let sign = match sides[..] {
        [] | ["long"] => 1,
        ["short"] => -1,
        _ => return None,
    };
    let rest: Vec<&str> = words.iter().map(String::as_str).filter(|word| !is_side(word)).collect();
    let counts = (0..rest.len()).filter_map(|at| Some((Some(at), rest[at].parse::<u32>().ok()?)));
    let readings: Vec<(Option<usize>, u32)> = std::iter::once((None, 1)).chain(counts).collect();
    let exact = readings.iter().find_map(|(at, count)| {
        let row = names.iter().position(|name| same(&without(&rest, *at), &words_of(name)))?;
        Some((row, *count))
    });
    let (row, count) = exact.or_else(|| nearest(&rest, names))?;
    Some(Leg { row, quantity: sign * i64::from(count) })
}

/// A name with a month or a strike that the array's name leaves out: `1 dec 410 call` for `call`, if only one array's
/// name is in it. Here a count comes first.
fn nearest(rest: &[&str], names: &[&str]) -> Option<(usize, u32)> {
    let count = rest.first().and_then(|word| word.parse::<u32>().ok());
    let found = without(rest, count.map(|_| 0));
    let within = |name: &&str| {
        let name = words_of(name);
        let more = found.iter().filter(|word| !name.iter().any(|n| n == *word));
        name.iter().all(|n| found.contains(&n.as_str())) && more.into_iter().all(|word| is_detail(word))
    };
    let mut rows = (0..names.len()).filter(|at| within(&names[*at]));
    let row = rows.next()?;
    rows.next().is_none().then_some((row, count.unwrap_or(1)))
}

/// A strike, a year, a month.
fn is_detail(word: &str) -> bool {
    is_number(word) || word.get(..3).is_some_and(|start| MONTHS.contains(&start))
}

fn without<'a>(words: &[&'a str], at: Option<usize>) -> Vec<&'a str> {
    words.iter().enumerate().filter(|(i, _)| Some(*i) != at).map(|(_, word)| *word).collect()
}

fn words_of(name: &str) -> Vec<String> {
    name.to_lowercase().split('_').map(singular).collect()
}

/// The same words in any order.
fn same(found: &[&str], name: &[String]) -> bool {
    let mut found: Vec<&str> = found.to_vec();
    let mut name: Vec<&str> = name.iter().map(String::as_str).collect();
    found.sort_unstable();
    name.sort_unstable();
    found == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, names: &[&str]) -> Option<Vec<(usize, i64)>> {
        legs(text, names).ok().map(|legs| legs.iter().map(|leg| (leg.row, leg.quantity)).collect())
    }

    #[test]
    fn positions_are_read_whatever_their_case_order_and_punctuation() {
        let names = ["call", "future"];
        let cases: [(&str, &[(usize, i64)]); 10] = [
            ("long 1 future", &[(1, 1)]),
            ("Short 3 Futures", &[(1, -3)]),
            ("1 long future", &[(1, 1)]),
            ("LONG future", &[(1, 1)]),
            ("future", &[(1, 1)]),
            ("long 1 future short 1 call", &[(1, 1), (0, -1)]),
            ("1 long future 2 short calls", &[(1, 1), (0, -2)]),
            ("short 2 call, long 1 future", &[(0, -2), (1, 1)]),
            ("long 2 futures and short 1 Dec 410 call", &[(1, 2), (0, -1)]),
            ("Dec 410 call", &[(0, 1)]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text, &names).as_deref(), Some(expected), "{text}");
        }
        let strikes = ["dec_410_call", "dec_420_call", "future"];
        assert_eq!(read("short 2 Dec 420 call long Dec 410 calls", &strikes), Some(vec![(1, -2), (0, 1)]));
        assert_eq!(read("short 410 Dec call", &strikes), Some(vec![(0, -1)]));
    }

    #[test]
    fn what_names_no_array_or_no_side_beside_another_is_refused() {
        for text in [
            "",
            "long one future",
            "long 1 put",
            "long short 1 future",
            "short 1 call, 2 future",
            "long -1 future",
        ] {
            assert_eq!(read(text, &["call", "future"]), None, "{text}");
        }
        assert_eq!(read("short 1 Dec call", &["dec_410_call", "dec_420_call"]), None);
    }
}
