"""The looks of the page. Fonts are those that gradio brings: nothing is loaded from another host."""

from gradio import themes
from gradio.themes.utils import colors, fonts, sizes


def make_theme() -> themes.Base:
    """A quiet theme; page.css has what is ours."""
    theme = themes.Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.slate,
        radius_size=sizes.radius_md,
        font=[fonts.LocalFont("IBM Plex Sans", (400, 600)), fonts.Font("system-ui"), fonts.Font("sans-serif")],
        font_mono=[fonts.LocalFont("IBM Plex Mono"), fonts.Font("ui-monospace"), fonts.Font("monospace")],
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="#12161c",
        background_fill_primary_dark="#1a2028",
        background_fill_secondary_dark="#161b22",
        block_background_fill_dark="#1a2028",
        block_border_width="1px",
        block_shadow="none",
        block_label_text_weight="600",
        block_title_text_weight="600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        body_text_color_subdued="*neutral_500",
        color_accent="*primary_700",
        input_background_fill="white",
        input_background_fill_dark="#12161c",
        input_border_color_focus="*primary_500",
    )
