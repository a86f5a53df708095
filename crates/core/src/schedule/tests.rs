//! The two nights of the year, and what a schedule does about time that has passed.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The first few times after one at which a pattern fires, as the zone's clocks show them: day,
/// hour, minute, offset.
fn fires(zone: &str, cron: &str, after: &str, count: usize) -> String {
    let (zone, cron) = (Zone::new(zone).unwrap(), Cron::new(cron).unwrap());
    let first = cron.next(&zone, at(after));
    let times = std::iter::successors(first, |time| cron.next(&zone, *time));
    let shown = times.take(count).map(|time| {
        let local = zone.local(time);
        format!("{}{}", &local[8..16], &local[19..])
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// The table of the two nights, as `docs/decisions/0018` shows it.
#[test]
#[expect(clippy::too_many_lines, reason = "the table is one")]
fn the_two_nights_have_a_table() {
    let mut table = String::new();
    let nights = [
        // Clocks go forward from 02:00 to 03:00, and back from 03:00 to 02:00.
        ("Europe/Berlin", "2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"),
        // Clocks go forward from 02:00 to 03:00, and back from 02:00 to 01:00.
        ("America/New_York", "2026-03-07T20:00:00Z", "2026-10-31T20:00:00Z"),
        // Clocks go forward from 02:00 to 02:30, and back from 02:00 to 01:30.
        ("Australia/Lord_Howe", "2026-10-03T06:00:00Z", "2026-04-04T06:00:00Z"),
    ];
    for (zone, spring, autumn) in nights {
        for (cron, count) in [
            ("30 1 * * *", 2),
            ("45 1 * * *", 2),
            ("0 2 * * *", 2),
            ("15 2 * * *", 2),
            ("30 2 * * *", 2),
            ("0 3 * * *", 2),
            ("0 1-3 * * *", 4),
            ("*/30 1-2 * * *", 6),
            ("@daily", 2),
        ] {
            let (forward, back) =
                (fires(zone, cron, spring, count), fires(zone, cron, autumn, count));
            table += &format!("{zone} {cron}\n  + {forward}\n  - {back}\n");
        }
    }
    insta::assert_snapshot!(table, @r"
    Europe/Berlin 30 1 * * *
      + 29T01:30+01:00 30T01:30+02:00
      - 25T01:30+02:00 26T01:30+01:00
    Europe/Berlin 45 1 * * *
      + 29T01:45+01:00 30T01:45+02:00
      - 25T01:45+02:00 26T01:45+01:00
    Europe/Berlin 0 2 * * *
      + 29T03:00+02:00 30T02:00+02:00
      - 25T02:00+02:00 26T02:00+01:00
    Europe/Berlin 15 2 * * *
      + 29T03:00+02:00 30T02:15+02:00
      - 25T02:15+02:00 26T02:15+01:00
    Europe/Berlin 30 2 * * *
      + 29T03:00+02:00 30T02:30+02:00
      - 25T02:30+02:00 26T02:30+01:00
    Europe/Berlin 0 3 * * *
      + 29T03:00+02:00 30T03:00+02:00
      - 25T03:00+01:00 26T03:00+01:00
    Europe/Berlin 0 1-3 * * *
      + 29T01:00+01:00 29T03:00+02:00 30T01:00+02:00 30T02:00+02:00
      - 25T01:00+02:00 25T02:00+02:00 25T02:00+01:00 25T03:00+01:00
    Europe/Berlin */30 1-2 * * *
      + 29T01:00+01:00 29T01:30+01:00 30T01:00+02:00 30T01:30+02:00 30T02:00+02:00 30T02:30+02:00
      - 25T01:00+02:00 25T01:30+02:00 25T02:00+02:00 25T02:30+02:00 25T02:00+01:00 25T02:30+01:00
    Europe/Berlin @daily
      + 29T00:00+01:00 30T00:00+02:00
      - 25T00:00+02:00 26T00:00+01:00
    America/New_York 30 1 * * *
      + 08T01:30-05:00 09T01:30-04:00
      - 01T01:30-04:00 02T01:30-05:00
    America/New_York 45 1 * * *
      + 08T01:45-05:00 09T01:45-04:00
      - 01T01:45-04:00 02T01:45-05:00
    America/New_York 0 2 * * *
      + 08T03:00-04:00 09T02:00-04:00
      - 01T02:00-05:00 02T02:00-05:00
    America/New_York 15 2 * * *
      + 08T03:00-04:00 09T02:15-04:00
      - 01T02:15-05:00 02T02:15-05:00
    America/New_York 30 2 * * *
      + 08T03:00-04:00 09T02:30-04:00
      - 01T02:30-05:00 02T02:30-05:00
    America/New_York 0 3 * * *
      + 08T03:00-04:00 09T03:00-04:00
      - 01T03:00-05:00 02T03:00-05:00
    America/New_York 0 1-3 * * *
      + 08T01:00-05:00 08T03:00-04:00 09T01:00-04:00 09T02:00-04:00
      - 01T01:00-04:00 01T01:00-05:00 01T02:00-05:00 01T03:00-05:00
    America/New_York */30 1-2 * * *
      + 08T01:00-05:00 08T01:30-05:00 09T01:00-04:00 09T01:30-04:00 09T02:00-04:00 09T02:30-04:00
      - 01T01:00-04:00 01T01:30-04:00 01T01:00-05:00 01T01:30-05:00 01T02:00-05:00 01T02:30-05:00
    America/New_York @daily
      + 08T00:00-05:00 09T00:00-04:00
      - 01T00:00-04:00 02T00:00-05:00
    Australia/Lord_Howe 30 1 * * *
      + 04T01:30+10:30 05T01:30+11:00
      - 05T01:30+11:00 06T01:30+10:30
    Australia/Lord_Howe 45 1 * * *
      + 04T01:45+10:30 05T01:45+11:00
      - 05T01:45+11:00 06T01:45+10:30
    Australia/Lord_Howe 0 2 * * *
      + 04T02:30+11:00 05T02:00+11:00
      - 05T02:00+10:30 06T02:00+10:30
    Australia/Lord_Howe 15 2 * * *
      + 04T02:30+11:00 05T02:15+11:00
      - 05T02:15+10:30 06T02:15+10:30
    Australia/Lord_Howe 30 2 * * *
      + 04T02:30+11:00 05T02:30+11:00
      - 05T02:30+10:30 06T02:30+10:30
    Australia/Lord_Howe 0 3 * * *
      + 04T03:00+11:00 05T03:00+11:00
      - 05T03:00+10:30 06T03:00+10:30
    Australia/Lord_Howe 0 1-3 * * *
      + 04T01:00+10:30 04T03:00+11:00 05T01:00+11:00 05T02:00+11:00
      - 05T01:00+11:00 05T02:00+10:30 05T03:00+10:30 06T01:00+10:30
    Australia/Lord_Howe */30 1-2 * * *
      + 04T01:00+10:30 04T01:30+10:30 04T02:30+11:00 05T01:00+11:00 05T01:30+11:00 05T02:00+11:00
      - 05T01:00+11:00 05T01:30+11:00 05T01:30+10:30 05T02:00+10:30 05T02:30+10:30 06T01:00+10:30
    Australia/Lord_Howe @daily
      + 04T00:00+10:30 05T00:00+11:00
      - 05T00:00+11:00 06T00:00+10:30
    ");
}

/// What a schedule does, from its cursor on, until it waits: `F` fires, `M` misses, `W` waits.
fn decided(change: impl Fn(&mut Schedule), cursor: &str, now: &str) -> String {
    let mut schedule: Schedule = serde_json::from_value(serde_json::json!({
        "id": 7, "deployment": 1, "name": "hourly", "cron": "0 * * * *", "zone": "UTC",
        "cursor": 0, "created_at": 0, "updated_at": 0,
    }))
    .unwrap();
    schedule.cursor = at(cursor);
    change(&mut schedule);
    let mut told = Vec::new();
    loop {
        let (letter, time) = match schedule.decide(at(now)) {
            Decision::Fire(time) => ('F', time),
            Decision::Miss(time) => ('M', time),
            Decision::Wait(time) => ('W', time),
        };
        told.push(format!("{letter}{}", time.to_string().get(8..19).unwrap_or("never")));
        if letter == 'W' {
            return told.join(" ");
        }
        schedule.cursor = time;
    }
}

#[test]
fn time_that_has_passed_is_made_up_for_as_the_schedule_says() {
    let check = |catch_up: CatchUp, hours: u64, now: &str, expect: &str| {
        let change = |it: &mut Schedule| {
            it.catch_up = catch_up;
            it.window = Duration::from_secs(hours * 3600);
        };
        let cursor = "2026-01-01T00:00:00Z";
        assert_eq!(decided(change, cursor, now), expect, "{catch_up:?} {hours} {now}");
    };
    let (none, last, all) = (CatchUp::None, CatchUp::Last, CatchUp::All);
    check(none, 1, "2026-01-01T00:59:59Z", "W01T01:00:00");
    check(none, 1, "2026-01-01T01:00:00Z", "F01T01:00:00 W01T02:00:00");
    check(none, 1, "2026-01-01T01:00:59Z", "F01T01:00:00 W01T02:00:00");
    check(none, 1, "2026-01-01T01:01:00Z", "M01T01:00:00 W01T02:00:00");
    check(none, 0, "2026-01-01T05:00:00Z", "F01T05:00:00 W01T06:00:00");
    check(last, 1, "2026-01-01T01:30:00Z", "F01T01:00:00 W01T02:00:00");
    check(last, 0, "2026-01-01T01:30:00Z", "W01T02:00:00");
    check(last, 3, "2026-01-01T05:30:00Z", "F01T05:00:00 W01T06:00:00");
    check(all, 3, "2026-01-01T05:30:00Z", "F01T03:00:00 F01T04:00:00 F01T05:00:00 W01T06:00:00");
    check(all, 9, "2026-01-01T02:00:00Z", "F01T01:00:00 F01T02:00:00 W01T03:00:00");
    // Years later there is no more to do than the window has.
    check(last, 1, "2036-01-01T00:30:00Z", "F01T00:00:00 W01T01:00:00");
    let most = |told: &str| told.split(' ').filter(|it| it.starts_with('F')).count();
    let window = |it: &mut Schedule| {
        it.cron = Cron::new("* * * * *").unwrap();
        (it.catch_up, it.window) = (all, MAX_WINDOW);
    };
    assert_eq!(
        most(&decided(window, "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z")),
        MAX_CATCH_UP
    );
    let paused = |it: &mut Schedule| it.paused = true;
    assert_eq!(decided(paused, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"), "Wnever");
}

#[test]
fn jitter_is_one_offset_that_hangs_on_the_id() {
    let jitter = |it: &mut Schedule| it.jitter = Duration::from_secs(600);
    let told = decided(jitter, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
    assert_eq!(told, "W01T01:00:36");
    let told = decided(jitter, "2026-01-01T00:00:00Z", "2026-01-01T01:00:37Z");
    assert_eq!(told, "F01T01:00:00 W01T02:00:36");
}

#[test]
fn patterns_and_zones_are_refused_with_their_fault() {
    let long = "1,".repeat(200);
    let texts = [
        "30 6 * * MON-FRI",
        "@daily",
        "0 0 L * *",
        "*/15 8-17 1 1,7 *",
        "* * * * * *",
        "",
        "61 * * * *",
        "5/5 * * * *",
        "0 0 30 2 *",
        "@reboot",
        &long,
    ];
    let told = texts.map(|text| match Cron::new(text) {
        Ok(cron) => cron.describe(),
        Err(error) => error.to_string(),
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    At 06:30, on Monday, Tuesday, Wednesday, Thursday, and Friday.
    At 00:00.
    At 00:00, on the last day of the month.
    At every 15 minutes, of hour 8-17, on day 1, in January and July.
    `* * * * * *` is not a cron pattern such as `30 6 * * MON-FRI`: it has 6 fields, 5 are expected
    `` is not a cron pattern such as `30 6 * * MON-FRI`: it has 0 fields, 5 are expected
    `61 * * * *` is not a cron pattern such as `30 6 * * MON-FRI`: number out of bounds
    `5/5 * * * *` is not a cron pattern such as `30 6 * * MON-FRI`: invalid step syntax: single number steps like "5/5" are not allowed. Use "*/5" for wildcard steps or "X-Y/5" for range steps
    cron pattern `0 0 30 2 *` never fires: no such day exists
    `@reboot` is not a cron pattern such as `30 6 * * MON-FRI`: pattern must have 5 fields when seconds are disallowed
    the cron pattern has 400 bytes, 255 are allowed
    "#);
    assert_eq!(
        Zone::new("Mars/Olympus").unwrap_err().to_string(),
        "`Mars/Olympus` is not a time zone such as `Europe/Berlin` or `UTC`"
    );
    assert_eq!(Zone::new("europe/berlin").unwrap().as_str(), "Europe/Berlin");
}
