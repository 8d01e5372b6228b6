use super::*;
use model::JobName;

fn job(name: &str) -> Subject {
    Subject::Job(JobName::new(name).expect("it is one"))
}

fn resource(name: &str) -> ObjectKey {
    ObjectKey { namespace: "ops".into(), name: name.into() }
}

#[test]
fn a_subject_waits_once_and_what_failed_waits_longer_each_time() {
    let (mut dirty, now) = (Dirty::default(), Instant::now());
    dirty.mark(job("a"));
    dirty.mark(job("b"));
    dirty.mark(job("a"));
    assert_eq!([dirty.next(now), dirty.next(now), dirty.next(now)], [Some(job("a")), Some(job("b")), None]);
    let mut at = now;
    for wait in [1, 2, 4, 8, 16, 30, 30] {
        dirty.failed(job("a"), "etcd is away".to_owned(), at);
        assert_eq!(dirty.failure(&job("a")), Some("etcd is away"));
        assert_eq!(dirty.next(at), None);
        assert_eq!(dirty.at(at), Some(at + Duration::from_secs(wait)));
        at += Duration::from_secs(wait);
        assert_eq!(dirty.next(at), Some(job("a")));
    }
    dirty.succeeded(&job("a"));
    assert_eq!(dirty.failure(&job("a")), None);
}

#[test]
fn statuses_that_somebody_waits_for_go_first_and_the_others_at_a_bounded_rate() {
    let now = Instant::now();
    let mut statuses = Statuses::new(now);
    for number in 0..200 {
        statuses.place(&resource(&format!("later-{number:03}")), Urgency::Later, now);
    }
    statuses.place(&resource("soon"), Urgency::Soon, now);
    statuses.place(&resource("now"), Urgency::Now, now);
    assert_eq!(statuses.next(now), Some(resource("now")));
    assert_eq!(statuses.next(now), Some(resource("soon")));
    let burst = std::iter::from_fn(|| statuses.next(now)).count();
    assert_eq!(burst, 99, "a hundred at once, one of which is gone");
    statuses.place(&resource("now"), Urgency::Now, now);
    assert_eq!(statuses.next(now), Some(resource("now")), "they need not wait for the others");
    let soon = statuses.at().expect("more wait");
    assert_eq!(soon, now + Duration::from_millis(50));
    assert_eq!(statuses.next(soon), Some(resource("later-099")));
    let second = now + Duration::from_secs(1);
    assert_eq!(std::iter::from_fn(|| statuses.next(second)).count(), 19);
    assert_eq!(statuses.len(), 81);
}

#[test]
fn a_status_keeps_the_earlier_place() {
    let now = Instant::now();
    let later = now + Duration::from_secs(5);
    let mut statuses = Statuses::new(now);
    statuses.place(&resource("a"), Urgency::Now, now);
    statuses.place(&resource("a"), Urgency::Now, later);
    statuses.place(&resource("a"), Urgency::Later, now);
    assert_eq!((statuses.at(), statuses.len()), (Some(now), 1));
    statuses.remove(&resource("a"));
    assert_eq!((statuses.at(), statuses.len()), (None, 0));
}
