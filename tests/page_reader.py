"""Reads a report's page as a browser without scripts would."""

import json
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Collects ids, links, tables and alternative texts, and checks that tags close."""

    VOID = frozenset({"meta", "link", "img", "br", "wbr", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.sources, self.alts, self.text = [], [], [], [], []
        self.explorers, self.tables = {}, []  # by id, as the page's scripts read them; in order, as rows of text
        self.explorer = self.section = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.sources += [found[key] for key in ("src", "href") if key in found]
        self.alts += [found["alt"]] if tag == "img" and "src" in found else []
        if tag == "section":
            self.section = found["id"]
        if found.get("class") == "explorer":
            self.explorer = found["id"]
        if tag == "table":
            self.tables.append((self.section, []))
        if tag == "tr":
            self.tables[-1][1].append([])
        if tag in ("td", "th"):
            self.tables[-1][1][-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][1][-1][-1] += data
        if self.open[-1:] == ["script"] and data.startswith("{"):
            self.explorers[self.explorer] = json.loads(data)
