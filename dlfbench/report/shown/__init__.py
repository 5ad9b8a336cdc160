"""How a report shows things: tables, number formats, the style of figures."""
