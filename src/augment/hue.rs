//! Turning the hue, through Pillow's HSV of 8 bits a channel, as torchvision's `adjust_hue` does.

use super::Rgb;

/// The shift of the 8-bit hue that torchvision makes of a factor from -0.5 to 0.5: truncated, then wrapped.
pub(super) fn shift(factor: f64) -> u8 {
    (factor * 255.0) as i32 as u8
}

/// Adds `shift` to each pixel's hue, modulo 256. A shift of 0 is not nothing: HSV holds fewer colours.
pub(super) fn turn(image: &mut Rgb, shift: u8) {
    for pixel in image.pixels.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = to_hsv(*pixel);
        *pixel = to_rgb([hue.wrapping_add(shift), saturation, value]);
    }
}

/// Pillow's `rgb2hsv`: f32, but where its C says `double`.
fn to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let most = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let [to_red, to_green, to_blue] = [red, green, blue].map(|c| f32::from(most - c) / range);
    let sixths = if red == most {
        to_blue - to_green
    } else if green == most {
        (2.0 + f64::from(to_red) - f64::from(to_blue)) as f32
    } else {
        (4.0 + f64::from(to_green) - f64::from(to_red)) as f32
    };
    let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
    let saturation = range / f32::from(most);
    // The casts truncate and clip.
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// Pillow's `hsv2rgb`.
fn to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let turned = f64::from(hue) * 6.0 / 255.0;
    let sixth = turned.floor();
    let rest = f64::from((turned - sixth) as f32);
    let share = f64::from((f64::from(saturation) / 255.0) as f32);
    let level = |part: f64| (f64::from(value) * (1.0 - share * part)).round() as u8;
    let (low, falling, rising) = (level(1.0), level(rest), level(1.0 - rest));
    match sixth as u32 % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}
