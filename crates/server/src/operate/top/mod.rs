//! `headworks top`: what goes on, second by second, at a terminal; or one second of it without one.

mod feed;
mod keys;
mod picture;
mod screen;

use std::io::IsTerminal;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use ratatui::crossterm::event;

use self::feed::{Feed, News};
use self::keys::Keys;
use self::picture::{Picture, View};
use super::command::Top;
use super::output::{Format, lines, show};
use super::{Connection, Failed};
use crate::check::say;

/// How long a key may wait to be seen, and so how late the screen may be.
const BLINK: Duration = Duration::from_millis(100);

pub(super) fn top(args: &Top) -> Result<(), Failed> {
    if !args.once && !std::io::stdout().is_terminal() {
        return Err(Failed::wrong("standard output is no terminal, expected one, or --once"));
    }
    let connection = Connection::of(&args.asking)?;
    let feed = Feed::start(&connection, args.target_group.clone())?;
    let mut picture = Picture::new(args.target_group.clone());
    if args.once {
        return once(&feed, &mut picture, args.asking.output);
    }
    // what is to be said before the terminal is taken over is said first
    hear_first(&feed, &mut picture)?;
    let at = &connection.instance().address;
    let mut terminal = ratatui::try_init().map_err(|error| Failed::with(format!("the terminal: {error}")))?;
    let watched = watch(&mut terminal, &feed, &mut picture, at);
    ratatui::restore();
    watched
}

/// Until something is known, or it is known that nothing will be.
fn hear_first(feed: &Feed, picture: &mut Picture) -> Result<(), Failed> {
    match feed.news.recv() {
        Ok(News::Status(status)) => {
            picture.know(&status);
            Ok(())
        }
        Ok(News::Failed(failed)) => Err(failed),
        Ok(News::Lost(what)) => Err(Failed::with(what)),
        _ => Err(Failed::with("stopped")),
    }
}

/// One second of it as tables. The first sample of targets has nothing to compare with.
fn once(feed: &Feed, picture: &mut Picture, format: Format) -> Result<(), Failed> {
    hear_first(feed, picture)?;
    let mut samples = if picture.group.is_some() { 2 } else { 1 };
    while samples > 0 {
        match feed.news.recv() {
            Ok(News::Event(event, data)) => {
                samples -= usize::from(event == "sample");
                picture.take(&event, data);
            }
            Ok(News::Status(status)) => picture.know(&status),
            Ok(News::Failed(failed)) => return Err(failed),
            Ok(News::Lost(what)) => return Err(Failed::with(what)),
            Ok(News::Stop) | Err(_) => return Err(Failed::with("stopped")),
        }
    }
    if format != Format::Table {
        show(format, &picture.to_json(), Vec::new);
        return Ok(());
    }
    let has_targets = picture.group.is_some();
    for view in View::ALL.into_iter().filter(|view| *view != View::Targets || has_targets) {
        picture.look_at(view);
        lines(&picture.table()).iter().for_each(say);
        say("");
    }
    Ok(())
}

/// Until it is told to stop.
fn watch(terminal: &mut ratatui::DefaultTerminal, feed: &Feed, picture: &mut Picture, at: &str) -> Result<(), Failed> {
    let io = |error: std::io::Error| Failed::with(format!("the terminal: {error}"));
    let (mut keys, mut is_changed) = (Keys::default(), true);
    loop {
        loop {
            match feed.news.try_recv() {
                Ok(News::Event(event, data)) => picture.take(&event, data),
                Ok(News::Status(status)) => picture.know(&status),
                Ok(News::Lost(what)) => picture.news = format!("{what}; trying again"),
                Ok(News::Failed(failed)) => return Err(failed),
                Ok(News::Stop) | Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => break,
            }
            is_changed = true;
        }
        if is_changed {
            terminal.draw(|frame| screen::draw(frame, picture, &mut keys, at)).map_err(io)?;
        }
        is_changed = event::poll(BLINK).map_err(io)?;
        if !is_changed {
            continue;
        }
        let group = picture.group.clone();
        if keys.take(&event::read().map_err(io)?, picture).is_break() {
            return Ok(());
        }
        if picture.group != group {
            feed.want(picture.group.clone());
        }
    }
}
