"""The package's docstrings as mkdocstrings renders them best: an extension of griffe, which reads them.

Google's sections (Args, Returns, Raises, Attributes) and Keras's (Call arguments, Output shape, References) are written
as plain text in the code. Here those that griffe does not know become lists, and `*` stays a `*`.
"""

import re
import textwrap

import griffe

TITLED = re.compile(r"(Call arguments|Returns|References):$")
INLINE = re.compile(r"(Call|Output shape|References): ")
ITEM = re.compile(r"([\w.`*]+(?:, [\w.`*]+)*): ")  # "states: the gate", "x, y: frames"
STAR = re.compile(r"(?<=[\w(,)])\*(?=\w)|(?<=\S )\*(?=\w)")  # of "(*k, C, F)" and "p*p*channels", which is no emphasis


class Docstrings(griffe.Extension):
    def on_object(self, *, obj, **arguments):
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)


def readable(docstring):
    """The docstring with lists in the sections that griffe takes for plain paragraphs."""
    lines, blocks = docstring.splitlines(), []
    while lines:
        line = lines.pop(0)
        titled, inline = TITLED.match(line), INLINE.match(line)
        if not (titled or inline):
            blocks.append(without_emphasis(line))
            continue
        content = []
        while lines and (lines[0].startswith(" ") or (inline and lines[0].strip())):
            content.append(lines.pop(0))
        if titled:  # "TYPE: TITLE": a block with a title of its own
            blocks += [f"section: {titled[1]}", *("    " + each for each in items(content))]
        else:
            rest = [line[inline.end() :], *(each.strip() for each in content)]
            blocks.append(f"**{inline[1]}**: " + without_emphasis(" " + " ".join(rest)).strip())
    return "\n".join(blocks)


def items(lines):
    """Lines of Markdown: a list where the lines name things, else the text as it is."""
    text = textwrap.dedent("\n".join(lines)).splitlines()
    if not any(ITEM.match(line) for line in text):
        return [without_emphasis(line) for line in text]
    result = []
    for line in text:
        found = ITEM.match(line)
        if found:
            names = ", ".join(f"`{name.strip('`')}`" for name in found[1].split(", "))
            line = f"- **{names}** – {line[found.end() :]}"
        elif line.strip() and not line.startswith(" "):
            line = f"- {line}"
        result.append(without_emphasis(line))
    return result


def without_emphasis(line):
    """The line with every `*` that belongs to a formula escaped; code, equations and `*arguments:` stay as they are."""
    if line.startswith("    ") and "=" in line and "`" not in line and not ITEM.match(line.strip()):
        return line  # an equation: indented, so it becomes a block of code
    parts = line.split("`")
    return "`".join(part if i % 2 else STAR.sub(r"\*", part) for i, part in enumerate(parts))
