"""Charts as Vega-Lite specifications: the page draws them again with hover, and files have them as SVG and PDF."""
