//! What an expression means, before anything is saved.

use axum::Json;
use axum::extract::{RawQuery, State};
use model::schedule::ScheduleError;
use model::{Dialect, JobName, Schedule, TimeZone};
use serde::Serialize;
use store::{RunLog, Tree};

use super::parameters;
use crate::app::Shared;
use crate::clock;
use crate::reply::Refusal;

/// How many slots are shown.
const SHOWN_SLOTS: usize = 5;

/// What an expression means, or what is wrong with it: either way the question is answered.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Preview {
    #[serde(rename_all = "camelCase")]
    Valid {
        description: String,
        time_zone: &'static str,
        /// The next slots; fewer where there are no more.
        next: Vec<String>,
    },
    Invalid {
        error: Mistake,
    },
}

/// What is wrong with an expression.
#[derive(Serialize)]
pub(crate) struct Mistake {
    message: String,
    field: Option<&'static str>,
    /// Characters before the mistake, and how many it spans.
    offset: usize,
    length: usize,
    /// What to put in their place.
    suggestion: Option<String>,
}

impl From<ScheduleError> for Mistake {
    fn from(error: ScheduleError) -> Self {
        Self {
            message: error.to_string(),
            field: error.field(),
            offset: error.offset(),
            length: error.length(),
            suggestion: error.suggestion().map(ToOwned::to_owned),
        }
    }
}

/// `GET /api/v1/schedule?expr=&dialect=legacy|standard&zone=&name=`: the dialect is the legacy one unless it is given,
/// the zone that of legacy jobs. The job's name decides what `H` is.
pub(crate) async fn preview<T: Tree, L: RunLog>(
    State(app): Shared<T, L>,
    RawQuery(query): RawQuery,
) -> Result<Json<Preview>, Refusal> {
    let params = parameters(query)?;
    let expr = params.need("expr")?;
    let dialect = match params.get("dialect").unwrap_or("legacy") {
        "legacy" => Dialect::Legacy,
        "standard" => Dialect::Standard,
        other => {
            return Err(Refusal::bad(format!("the dialect {other:?} is unknown; write legacy or standard")));
        }
    };
    let zone = match params.get("zone") {
        None | Some("") => app.zone,
        Some(name) => TimeZone::parse(name).map_err(|error| Refusal::bad(error.to_string()))?,
    };
    // While a name is being typed it is not one yet.
    let name = params.get("name").and_then(|name| JobName::new(name).ok());
    let name = name.unwrap_or_else(|| JobName::new("job").expect("this is a name"));
    Ok(Json(match Schedule::parse(expr, dialect, zone, &name) {
        Err(error) => Preview::Invalid { error: error.into() },
        Ok(schedule) => {
            let following =
                std::iter::successors(schedule.next_after(clock::now()), |slot| schedule.next_after(*slot));
            Preview::Valid {
                description: schedule.describe(),
                time_zone: zone.name(),
                next: following.take(SHOWN_SLOTS).map(|slot| slot.to_string()).collect(),
            }
        }
    }))
}
