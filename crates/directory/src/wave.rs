//! The journal of waves: what was asked for, how far it is, and what its worker is asked to do.
//!
//! It names no subject: who moves is a predicate and a count here, and a list of ids in the source
//! region's own database.

use crate::homes::check_name;
use crate::lease::milliseconds;
use crate::read::Columns;
use crate::schema::now_ms;
use crate::{Directory, Error, Repeat, Result, WaveLease};
use domicile_stores::control::{Rows, Statement, Value};
use jiff::Timestamp;
use std::fmt;
use std::time::Duration;

/// Columns of a wave as [`Directory::read_waves`] reads them; `now` is the store's clock.
fn columns(now: &str) -> String {
    format!(
        "id, service, source, target, plan_hash, predicate, counts, state, asked, note, created_ms, \
         updated_ms, holder, expires_ms - {now}"
    )
}

/// How far a wave is. Durable; set by the worker that holds the wave's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaveState {
    /// Batches are being moved, or wait for a worker to go on. Every wave begins here.
    Open,
    /// Every batch is past its cutover or has left the wave; the source's erase is due after the grace.
    Moved,
    /// Batches before their cutover are being undone.
    Aborting,
    /// The source is erased and the receipts are written. Final.
    Erased,
    /// Undone before any cutover, or as far as there was something to undo. Final.
    Aborted,
    /// A rehearsal: copied, verified and dropped. Final.
    Rehearsed,
}

impl WaveState {
    const ALL: [WaveState; 6] = [
        WaveState::Open,
        WaveState::Moved,
        WaveState::Aborting,
        WaveState::Erased,
        WaveState::Aborted,
        WaveState::Rehearsed,
    ];

    /// Nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, WaveState::Erased | WaveState::Aborted | WaveState::Rehearsed)
    }

    fn word(self) -> &'static str {
        match self {
            WaveState::Open => "open",
            WaveState::Moved => "moved",
            WaveState::Aborting => "aborting",
            WaveState::Erased => "erased",
            WaveState::Aborted => "aborted",
            WaveState::Rehearsed => "rehearsed",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl fmt::Display for WaveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the wave's worker is asked to do, from any terminal. It looks between batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// Go on.
    Run,
    /// Begin nothing new; `resume` takes it back.
    Pause,
    /// Undo what is before its cutover. Can't be taken back.
    Abort,
}

/// A wave to open.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWave {
    /// The service.
    pub service: String,
    /// The region whose subjects move.
    pub source: String,
    /// The region they move to.
    pub target: String,
    /// SHA-256 (hex) of the plan.
    pub plan_hash: String,
    /// Who moves, in the plan's words; no subject's id.
    pub predicate: String,
    /// Subjects, rows, bytes and so on, as the plan counted them.
    pub counts: serde_json::Value,
    /// Anything the mover wants to keep; no subject's id.
    pub note: serde_json::Value,
}

/// A wave as the journal has it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Wave {
    /// `w1`, `w2`, ...
    pub id: String,
    /// The service.
    pub service: String,
    /// The region whose subjects move.
    pub source: String,
    /// The region they move to.
    pub target: String,
    /// SHA-256 (hex) of the plan.
    pub plan_hash: String,
    /// Who moves, in the plan's words.
    pub predicate: String,
    /// As the plan counted.
    pub counts: serde_json::Value,
    /// How far it is.
    pub state: WaveState,
    /// What its worker is asked to do.
    pub asked: Asked,
    /// What the mover keeps here.
    pub note: serde_json::Value,
    /// When it was opened, by the control store's clock.
    pub created: Timestamp,
    /// When its state or note changed last.
    pub updated: Timestamp,
    /// Who took its lease last and has not given it back; the lease may have run out.
    pub holder: Option<String>,
    /// How long that lease still lasts unless it is renewed, by the control store's clock. Zero where
    /// nobody holds it and where it ran out: then no worker is at it, or it is too slow to keep its turn.
    pub lease_left: Duration,
}

/// Which waves to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaveFilter {
    /// Only this service's.
    pub service: Option<String>,
    /// Only those that are not in a final state.
    pub unfinished: bool,
}

impl Directory {
    /// Opens a wave. One that is unfinished and has the same service, source, target and plan is
    /// returned instead, so that a plan can't be carried out twice at once and a repeated call is safe.
    ///
    /// # Errors
    /// `Argument` for a name that can't be, or the store's.
    pub async fn open_wave(&self, wave: &NewWave) -> Result<Wave> {
        self.open_wave_for(wave, None).await
    }

    /// The same; the lease of a wave that nobody has taken yet is `holder`'s for `ttl` from the moment it is
    /// opened, so that no other worker gets in between.
    ///
    /// # Errors
    /// As [`Directory::open_wave`].
    pub async fn open_wave_for(&self, wave: &NewWave, first: Option<(&str, Duration)>) -> Result<Wave> {
        let now = now_ms(self.ready().await?);
        check_name("service", &wave.service)?;
        let same = vec![
            wave.service.as_str().into(),
            wave.plan_hash.as_str().into(),
            wave.source.as_str().into(),
            wave.target.as_str().into(),
        ];
        let found = "service = $1 AND plan_hash = $2 AND source = $3 AND target = $4 AND ended = 0";
        let mut params = same.clone();
        params.extend([
            wave.predicate.as_str().into(),
            wave.counts.to_string().into(),
            wave.note.to_string().into(),
        ]);
        let insert = format!(
            "INSERT INTO directory_wave (id, number, service, plan_hash, source, target, predicate, counts, \
             note, state, ended, asked, created_ms, updated_ms, holder, token, expires_ms) \
             SELECT 'w' || CAST(m.waves + 1 AS TEXT), m.waves + 1, $1, $2, $3, $4, $5, $6, $7, 'open', 0, 0, \
             c.now, c.now, NULL, 0, 0 FROM directory_meta m, (SELECT {now} AS now) AS c \
             WHERE NOT EXISTS (SELECT 1 FROM directory_wave WHERE {found})"
        );
        let count = "UPDATE directory_meta SET waves = waves + 1 \
                     WHERE EXISTS (SELECT 1 FROM directory_wave WHERE number = directory_meta.waves + 1)";
        let mut statements = vec![
            // The row's lock orders those that open waves.
            Statement::new("UPDATE directory_meta SET waves = waves", vec![]),
            Statement::new(insert, params),
            Statement::new(count, vec![]),
        ];
        if let Some((holder, ttl)) = first {
            let take = format!(
                "UPDATE directory_wave SET holder = $5, token = 1, expires_ms = {now} + $6 \
                 WHERE {found} AND token = 0"
            );
            let taker = vec![holder.into(), milliseconds(ttl)];
            statements.push(Statement::new(take, [same.clone(), taker].concat()));
        }
        statements
            .push(Statement::new(format!("SELECT {} FROM directory_wave WHERE {found}", columns(now)), same));
        // CRASH: done or not; done twice, the second returns the wave that the first opened.
        let answers = self.run(Repeat::Safe, statements).await?;
        let wave = self.read_waves(answers.last().unwrap_or(&Rows::default()))?.pop();
        wave.ok_or_else(|| Error::UnknownWave { wave: "just opened".to_owned() })
    }

    /// One wave.
    ///
    /// # Errors
    /// The store's.
    pub async fn wave(&self, id: &str) -> Result<Option<Wave>> {
        let now = now_ms(self.ready().await?);
        let sql = format!("SELECT {} FROM directory_wave WHERE id = $1", columns(now));
        Ok(self.read_waves(&self.ask(Statement::new(sql, vec![id.into()])).await?)?.pop())
    }

    /// Waves in the order in which they were opened.
    ///
    /// # Errors
    /// The store's.
    pub async fn waves(&self, filter: &WaveFilter) -> Result<Vec<Wave>> {
        let now = now_ms(self.ready().await?);
        let mut sql = format!("SELECT {} FROM directory_wave WHERE ended <= $1", columns(now));
        let mut params = vec![Value::Int(i64::from(!filter.unfinished))];
        if let Some(service) = &filter.service {
            sql.push_str(" AND service = $2");
            params.push(service.as_str().into());
        }
        sql.push_str(" ORDER BY number");
        self.read_waves(&self.ask(Statement::new(sql, params)).await?)
    }

    /// Sets a wave's state, and its note where one is given, if it is in a `from` state or in `to`
    /// already, for the holder of its lease. A wave that is no longer under way has no batches in hand.
    ///
    /// # Errors
    /// `LeaseLost`, `WrongState`, `UnknownWave`, or the store's.
    pub async fn set_wave_state(
        &self,
        lease: &WaveLease,
        from: &[WaveState],
        to: WaveState,
        note: Option<&serde_json::Value>,
    ) -> Result<()> {
        let now = now_ms(self.ready().await?);
        let states: Vec<String> = from.iter().chain([&to]).map(|state| format!("'{state}'")).collect();
        let sql = format!(
            "UPDATE directory_wave SET state = $3, ended = $4, note = coalesce($5, note), updated_ms = {now} \
             WHERE id = $1 AND token = $2 AND holder = $6 AND state IN ({})",
            states.join(", ")
        );
        let params = vec![
            lease.wave.as_str().into(),
            Value::Int(lease.token),
            to.word().into(),
            Value::Int(i64::from(to.is_final())),
            note.map_or(Value::Null, |note| note.to_string().into()),
            lease.holder.as_str().into(),
        ];
        let forget = "DELETE FROM directory_batch WHERE wave = $1 \
                      AND EXISTS (SELECT 1 FROM directory_wave WHERE id = $1 AND state NOT IN ('open', 'aborting'))";
        let statements =
            vec![Statement::new(sql, params), Statement::new(forget, vec![lease.wave.as_str().into()])];
        // CRASH: done or not; done twice is the same.
        if self.run(Repeat::Safe, statements).await?[0].affected > 0 {
            return Ok(());
        }
        let sql = "SELECT state FROM directory_wave WHERE id = $1 AND token = $2 AND holder = $3";
        let params = vec![lease.wave.as_str().into(), Value::Int(lease.token), lease.holder.as_str().into()];
        let answer = self.ask(Statement::new(sql, params)).await?;
        let Some(row) = answer.rows.first() else {
            return Err(Error::LeaseLost { wave: lease.wave.clone() });
        };
        let is = self.read_state(&Columns::of(self, row).text()?)?;
        Err(Error::WrongState { wave: lease.wave.clone(), is, to })
    }

    /// Asks the wave's worker to begin nothing new. No effect on a wave that is to be aborted.
    ///
    /// # Errors
    /// `UnknownWave`, or the store's.
    pub async fn pause(&self, wave: &str) -> Result<()> {
        self.set_asked(wave, 1).await
    }

    /// Takes a pause back. No effect on a wave that is to be aborted.
    ///
    /// # Errors
    /// `UnknownWave`, or the store's.
    pub async fn resume(&self, wave: &str) -> Result<()> {
        self.set_asked(wave, 0).await
    }

    /// Asks the wave's worker, or the next one, to undo what is before its cutover.
    ///
    /// # Errors
    /// `UnknownWave`, or the store's.
    pub async fn ask_abort(&self, wave: &str) -> Result<()> {
        self.set_asked(wave, 2).await
    }

    /// What the wave's worker is asked to do.
    ///
    /// # Errors
    /// `UnknownWave`, or the store's.
    pub async fn asked(&self, wave: &str) -> Result<Asked> {
        let found = self.wave(wave).await?;
        found.map(|wave| wave.asked).ok_or_else(|| Error::UnknownWave { wave: wave.to_owned() })
    }

    /// Is the wave paused, or to be aborted?
    ///
    /// # Errors
    /// `UnknownWave`, or the store's.
    pub async fn is_paused(&self, wave: &str) -> Result<bool> {
        Ok(self.asked(wave).await? != Asked::Run)
    }

    async fn set_asked(&self, wave: &str, asked: i64) -> Result<()> {
        self.ready().await?;
        let sql = "UPDATE directory_wave SET asked = CASE WHEN asked = 2 THEN 2 ELSE $2 END WHERE id = $1";
        let answer = self.ask(Statement::new(sql, vec![wave.into(), Value::Int(asked)])).await?;
        match answer.affected {
            0 => Err(Error::UnknownWave { wave: wave.to_owned() }),
            _ => Ok(()),
        }
    }

    fn read_waves(&self, answer: &Rows) -> Result<Vec<Wave>> {
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            Ok(Wave {
                id: columns.text()?,
                service: columns.text()?,
                source: columns.text()?,
                target: columns.text()?,
                plan_hash: columns.text()?,
                predicate: columns.text()?,
                counts: columns.json()?,
                state: self.read_state(&columns.text()?)?,
                asked: match columns.int()? {
                    0 => Asked::Run,
                    1 => Asked::Pause,
                    _ => Asked::Abort,
                },
                note: columns.json()?,
                created: self.read_time(columns.int()?)?,
                updated: self.read_time(columns.int()?)?,
                holder: columns.text_or_null()?,
                lease_left: Duration::from_millis(u64::try_from(columns.int()?).unwrap_or(0)),
            })
        };
        answer.rows.iter().map(read).collect()
    }

    fn read_state(&self, word: &str) -> Result<WaveState> {
        WaveState::read(word).ok_or_else(|| self.corrupt("a wave's state is unknown to this program"))
    }

    fn read_time(&self, ms: i64) -> Result<Timestamp> {
        Timestamp::from_millisecond(ms).map_err(|_| self.corrupt("a wave's time is out of range"))
    }

    fn corrupt(&self, what: &str) -> Error {
        Error::Corrupt { store: self.name(), what: what.to_owned() }
    }
}
