//! How `headworks top` looks: a line of what goes on in all, the table, a line of what happened, a line of what keys do.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Sparkline, Table};

use super::keys::{HELP, Keys};
use super::picture::{Picture, View};

/// Between columns.
const SPACING: u16 = 2;

pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture, keys: &mut Keys, at: &str) {
    let [head, past, table, news, help] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(picture, at), head);
    let width = usize::from(past.width);
    let line: Vec<u64> = picture.past.iter().skip(picture.past.len().saturating_sub(width)).copied().collect();
    frame.render_widget(Sparkline::default().data(line).style(Style::new().fg(Color::Cyan)), past);
    body(frame, table, picture, keys);
    frame.render_widget(Line::from(picture.news.as_str()).style(Style::new().fg(Color::Yellow)), news);
    let help_line = if keys.is_typing {
        format!("filter: {}█  Enter keeps it, Esc clears it", picture.filter)
    } else {
        HELP.to_owned()
    };
    frame.render_widget(Line::from(help_line).style(Style::new().add_modifier(Modifier::DIM)), help);
}

fn title(picture: &Picture, at: &str) -> Line<'static> {
    let [requests, errors] = picture.totals();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let of = match (picture.view, &picture.group) {
        (View::Targets, Some(group)) => format!("targets of {group}"),
        (view, _) => view.title().to_owned(),
    };
    let mut spans = vec![Span::styled(format!("headworks {at}"), bold), Span::raw(format!("  {of}  "))];
    match picture.at {
        Some(at) => {
            let time = headworks_iam::time::iso(at);
            spans.push(Span::raw(format!("{}  {requests:.0} req/s  ", time.get(11..19).unwrap_or_default())));
            let style =
                if errors > 0.0 { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
            spans.push(Span::styled(format!("{errors:.1} errors/s"), style));
        }
        None => spans.push(Span::raw("waiting for the first second")),
    }
    if !picture.filter.is_empty() {
        spans.push(Span::raw(format!("  /{}", picture.filter)));
    }
    Line::from(spans)
}

fn body(frame: &mut Frame<'_>, area: Rect, picture: &Picture, keys: &mut Keys) {
    let titles = picture.view.columns().iter().enumerate().map(|(index, column)| {
        let arrow = if index != picture.sort {
            ""
        } else if picture.is_reversed {
            " ▲"
        } else {
            " ▼"
        };
        Cell::from(format!("{}{arrow}", column.title))
    });
    let head = Row::new(titles).style(Style::new().add_modifier(Modifier::REVERSED));
    let rows = picture.rows();
    // an arrow beside the title needs its place, too
    let width =
        |index: usize| rows.iter().filter_map(|row| row.cells.get(index)).map(|cell| cell.chars().count()).max();
    // where there is too little room, what stands last is left out: what is there would be cut for it
    let (mut left, mut widths) = (area.width, Vec::new());
    for (index, column) in picture.view.columns().iter().enumerate() {
        if left == 0 {
            break;
        }
        let wanted = width(index).unwrap_or(0).max(column.title.len() + 2);
        let width = u16::try_from(wanted).unwrap_or(u16::MAX).min(left);
        left = left.saturating_sub(width.saturating_add(SPACING));
        widths.push(Constraint::Length(width));
    }
    let lines = rows.iter().map(|row| {
        let style = if row.is_bad { Style::new().fg(Color::Red) } else { Style::new() };
        Row::new(row.cells.iter().map(|cell| Cell::from(cell.as_str()))).style(style)
    });
    let table = Table::new(lines, widths)
        .header(head)
        .column_spacing(SPACING)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_stateful_widget(table, area, &mut keys.table);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::operate::top::picture::tests::picture;

    fn press(keys: &mut Keys, picture: &mut Picture, code: KeyCode) -> bool {
        keys.take(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), picture).is_break()
    }

    /// The screen after keys, line by line.
    fn screen(width: u16, pressed: &[KeyCode]) -> Vec<String> {
        let (mut picture, mut keys) = (picture(), Keys::default());
        for code in pressed {
            assert!(!press(&mut keys, &mut picture, *code), "{code:?} ends it");
        }
        let mut terminal = Terminal::new(TestBackend::new(width, 12)).unwrap();
        terminal.draw(|frame| draw(frame, &picture, &mut keys, "here:9080")).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..12).map(line).collect()
    }

    #[test]
    fn keys_lead_from_view_to_view() {
        use KeyCode::{Char, Down, Enter, Esc, Right, Tab};
        for (pressed, first, expected) in [
            (&[][..], "headworks here:9080  listeners  00:16:40  1200 req/s  2.5 errors/s", "shop/http"),
            (&[Tab], "headworks here:9080  rules", "shop/http/1"),
            (&[Char('3'), Right], "headworks here:9080  target groups", "green"),
            (&[Char('3'), Right, Char('r')], "headworks here:9080  target groups", "blue"),
            (&[Char('3'), Down, Down, Enter], "headworks here:9080  targets of green", "127.0.0.1:1"),
            (&[Char('4'), Char('4')], "headworks here:9080  targets of blue", ""),
            (&[Char('3'), Down, Enter, Esc], "headworks here:9080  target groups", "blue"),
            (&[Char('3'), Char('/'), Char('g'), Char('q')], "headworks here:9080  target groups", ""),
            (&[Char('3'), Char('/'), Char('g'), Enter], "headworks here:9080  target groups", "green"),
            (&[Char('3'), Char('/'), Char('x'), Esc], "headworks here:9080  target groups", "blue"),
        ] {
            let lines = screen(120, pressed);
            assert!(lines[0].starts_with(first), "{pressed:?}: {lines:#?}");
            assert!(
                lines[4].starts_with(expected) && lines[4].is_empty() == expected.is_empty(),
                "{pressed:?}: {lines:#?}"
            );
        }
        let lines = screen(120, &[Char('3'), Right]);
        assert!(lines[3].contains("REQ/S ▼") && lines[11].contains("q quit"), "{lines:#?}");
        let lines = screen(60, &[Char('3'), Down, Down, Enter]);
        assert!(lines[4].starts_with("127.0.0.1:1 "), "a name is cut off: {lines:#?}");
        // narrow is no reason to fall over
        screen(8, &[]);
    }

    #[test]
    fn it_ends_when_it_is_told() {
        let (mut picture, mut keys) = (picture(), Keys::default());
        assert!(press(&mut keys, &mut picture, KeyCode::Char('q')));
        let interrupt = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        press(&mut keys, &mut picture, KeyCode::Char('/'));
        assert!(keys.take(&interrupt, &mut picture).is_break());
    }
}
