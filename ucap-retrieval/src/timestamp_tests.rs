//! Tests of `timestamp`.

use proptest::prelude::*;

use super::*;

#[test]
fn real_data_is_read() {
    for (text, want) in [
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
        ("2026-01-01", "2026-01-01T00:00:00Z"),
        ("1999-09-29T04:00:00", "1999-09-29T04:00:00Z"),
        ("2024-08-01T18:53:34.621Z", "2024-08-01T18:53:34.621Z"),
        ("2024-08-01t18:53:34.062100z", "2024-08-01T18:53:34.0621Z"),
        ("2024-08-01 18:53:34.123456", "2024-08-01T18:53:34.123456Z"),
        ("2024-08-01T18:53:34.1234567899Z", "2024-08-01T18:53:34.123456789Z"),
        ("2024-08-01T18:53Z", "2024-08-01T18:53:00Z"),
        ("2024-08-01T18:53:34-0330", "2024-08-01T22:23:34Z"),
        ("2024-08-01T18:53:34+02", "2024-08-01T16:53:34Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z"),
        ("2017-01-01T00:59:60.5+01:00", "2016-12-31T23:59:59.999999999Z"),
    ] {
        assert_eq!(Timestamp::parse(text).map(|t| t.to_string()).as_deref(), Some(want), "{text}");
    }
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "",
        "yesterday",
        "2024",
        "2024-01",
        "2024-13-01",
        "2023-02-29",
        "2024-1-1",
        "2024-01-01T",
        "2024-01-01T25:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T10:00:00.Z",
        "2024-01-01T10:00:60Z",
        "2024-01-01T10:00:00ZZ",
        "2024-01-01T10:00:00+24:00",
        "2024-01-01T10:00:00+01:60",
        "2024-01-01T10:00:00 +01",
        "20240101",
        "0000-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        " 2024-01-01",
        "２０２４-01-01",
        "+2024-01-01",
        "2024-01-01é",
    ] {
        assert_eq!(Timestamp::parse(text), None, "{text}");
    }
}

#[test]
fn a_bare_date_is_a_whole_day() {
    let day = |text| match Moment::parse(text) {
        Some(Moment::Day { start, end }) => (start.to_string(), end.map(|end| end.to_string())),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(day("2024-02-28"), ("2024-02-28T00:00:00Z".into(), Some("2024-02-29T00:00:00Z".into())));
    assert_eq!(day("9999-12-31"), ("9999-12-31T00:00:00Z".into(), None));
    assert!(matches!(Moment::parse("2024-02-28T00:00:00Z"), Some(Moment::Instant(_))));
}

proptest! {
    #[test]
    fn sortable_text_sorts_as_the_instants(a in instants(), b in instants()) {
        prop_assert_eq!(a.cmp(&b), a.to_sortable().cmp(&b.to_sortable()));
        prop_assert_eq!(a.to_sortable().len(), 30);
        prop_assert_eq!(Timestamp::parse(&a.to_sortable()), Some(a));
        prop_assert_eq!(Timestamp::parse(&a.to_string()), Some(a));
    }

    #[test]
    fn no_text_panics(text in any::<String>(), near in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]?[0-9:.,+-Zz]{0,20}") {
        let _ = Moment::parse(&text);
        let _ = Moment::parse(&near);
    }
}

fn instants() -> impl Strategy<Value = Timestamp> {
    (0..=9999i32, 1..=365u16, 0..86_400u32, 0..1_000_000_000u32).prop_map(|(year, day, second, nanosecond)| {
        let date = Date::from_ordinal_date(year, day).unwrap();
        Timestamp(date.midnight().assume_utc() + Duration::new(second.into(), i32::try_from(nanosecond).unwrap()))
    })
}
