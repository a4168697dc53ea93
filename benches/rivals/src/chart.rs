//! Plots as SVG. Text is left to whoever shows them: no font is needed here.

use std::path::Path;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::row::{Plot, number};

/// Distinguishable also by those who see red and green alike (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 150, 150),
];

/// Draws it to a file; says why if that cannot be.
pub fn draw(plot: &Plot, path: &Path) -> Result<(), String> {
    let can_log = |axis: fn(&(f64, f64)) -> f64| points(plot).all(|p| axis(&p) > 0.0);
    let x = range(points(plot).map(|p| p.0), plot.log_x)?;
    let y = range(points(plot).map(|p| p.1), plot.log_y)?;
    if (plot.log_x && !can_log(|p| p.0)) || (plot.log_y && !can_log(|p| p.1)) {
        return Err("a logarithmic axis has values that are not positive".to_owned());
    }
    let (log_x, log_y) = ((x.0..x.1).log_scale(), (y.0..y.1).log_scale());
    match (plot.log_x, plot.log_y) {
        (false, false) => render(plot, path, x.0..x.1, y.0..y.1),
        (true, false) => render(plot, path, log_x, y.0..y.1),
        (false, true) => render(plot, path, x.0..x.1, log_y),
        (true, true) => render(plot, path, log_x, log_y),
    }
}

fn points(plot: &Plot) -> impl Iterator<Item = (f64, f64)> {
    plot.series
        .iter()
        .flat_map(|series| series.points.iter().copied())
}

/// From the least to the greatest value, with some room; a linear axis begins at 0.
fn range(values: impl Iterator<Item = f64>, is_log: bool) -> Result<(f64, f64), String> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return Err("there is nothing to draw".to_owned());
    }
    Ok(if is_log {
        (low / 1.2, high * 1.2)
    } else {
        (low.min(0.0), if high > 0.0 { high * 1.05 } else { 1.0 })
    })
}

fn render<X, Y>(plot: &Plot, path: &Path, x: X, y: Y) -> Result<(), String>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (900, 540)).into_drawing_area();
        render_to(plot, &area, x, y).map_err(|error| error.to_string())?;
    }
    std::fs::write(path, svg).map_err(|error| error.to_string())
}

fn render_to<X, Y>(
    plot: &Plot,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    x: X,
    y: Y,
) -> Result<(), Box<dyn std::error::Error>>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    // Errors of this backend borrow the area: as text they do not.
    area.fill(&WHITE).map_err(|e| e.to_string())?;
    let mut chart = ChartBuilder::on(area)
        .caption(&plot.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(72)
        .build_cartesian_2d(x, y)
        .map_err(|e| e.to_string())?;
    chart
        .configure_mesh()
        .x_desc(&plot.x)
        .y_desc(&plot.y)
        .x_label_formatter(&|v| label(*v))
        .y_label_formatter(&|v| label(*v))
        .light_line_style(WHITE.mix(0.0))
        .draw()
        .map_err(|e| e.to_string())?;
    // pinfold first: so it has the same colour in each plot.
    let (ours, others): (Vec<_>, Vec<_>) = plot
        .series
        .iter()
        .partition(|series| series.name.starts_with("pinfold"));
    for (at, series) in ours.into_iter().chain(others).enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(
                series.points.iter().copied(),
                colour.stroke_width(2),
            ))
            .map_err(|e| e.to_string())?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        // A distribution has too many points to mark each.
        if series.points.len() <= 40 {
            let dots = series
                .points
                .iter()
                .map(|p| Circle::new(*p, 3, colour.filled()));
            chart.draw_series(dots).map_err(|e| e.to_string())?;
        }
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .position(emptiest_corner(plot))
        .draw()
        .map_err(|e| e.to_string())?;
    area.present().map_err(|e| e.to_string())?;
    Ok(())
}

/// Where the names hide the fewest points.
fn emptiest_corner(plot: &Plot) -> SeriesLabelPosition {
    let part = |values: Vec<f64>, is_log: bool| {
        let values: Vec<f64> = values
            .iter()
            .map(|v| if is_log { v.ln() } else { *v })
            .collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let low = if is_log { low } else { low.min(0.0) };
        let to_part = move |v: f64| (v - low) / (high - low).max(f64::MIN_POSITIVE);
        values.into_iter().map(to_part).collect::<Vec<_>>()
    };
    let x = part(points(plot).map(|p| p.0).collect(), plot.log_x);
    let y = part(points(plot).map(|p| p.1).collect(), plot.log_y);
    let hidden = |right: bool, upper: bool| {
        let pairs = x.iter().zip(&y);
        let is_near = |(x, y): &(&f64, &f64)| {
            let x = if right { 1.0 - **x } else { **x };
            let y = if upper { 1.0 - **y } else { **y };
            x < 0.35 && y < 0.4
        };
        pairs.filter(is_near).count()
    };
    let corners = [
        (hidden(false, true), SeriesLabelPosition::UpperLeft),
        (hidden(true, true), SeriesLabelPosition::UpperRight),
        (hidden(true, false), SeriesLabelPosition::LowerRight),
        (hidden(false, false), SeriesLabelPosition::LowerLeft),
    ];
    let best = corners.into_iter().min_by_key(|(points, _)| *points);
    best.map_or(SeriesLabelPosition::UpperLeft, |(_, corner)| corner)
}

/// `4`, `0.5`, `64 K`.
fn label(value: f64) -> String {
    let is_whole = value.fract() == 0.0;
    match value.abs() {
        v if v >= 1e6 => format!("{} M", value / 1e6),
        v if v >= 1e4 && is_whole => format!("{} K", value / 1e3),
        _ if is_whole => format!("{value}"),
        _ => {
            let text = number(value);
            let text = text.trim_end_matches('0').trim_end_matches('.');
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::row::{Plot, Series};

    fn plot(log: bool, points: Vec<(f64, f64)>) -> Plot {
        Plot {
            id: "x".into(),
            title: "throughput".into(),
            x: "bytes".into(),
            y: "M/s".into(),
            log_x: log,
            log_y: log,
            series: vec![Series {
                name: "a <b>".into(),
                points,
            }],
        }
    }

    #[test]
    fn plots_are_drawn_with_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.svg");
        for log in [false, true] {
            let plot = plot(log, vec![(8.0, 3.0), (64.0, 2.5), (4096.0, 0.5)]);
            assert_eq!(draw(&plot, &path), Ok(()));
            let svg = std::fs::read_to_string(&path).expect("a file");
            assert!(svg.starts_with("<svg") && svg.contains("throughput"));
            assert!(svg.contains("a &lt;b&gt;") && svg.contains("<polyline"));
        }
        assert!(draw(&plot(true, vec![(0.0, 1.0)]), &path).is_err());
        assert!(draw(&plot(false, vec![]), &path).is_err());
    }
}
