"""The gate's findings as JUnit XML, which CI systems show."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from rl_eval.gate.result import Result
from rl_eval.report.gate.text import by_tier, told

# Characters that XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(result: Result) -> str:
    """A suite a tier and a case a finding.

    What keeps the release from passing is a failure, by its kind; what was not compared is skipped.
    """
    root = ElementTree.Element("testsuites", name="rl-eval gate")
    for tier, findings in by_tier(result.findings).items():
        failures = sum(finding.stands for finding in findings)
        skipped = sum(finding.verdict == "skipped" for finding in findings)
        counts = {"tests": len(findings), "failures": failures, "errors": 0, "skipped": skipped}
        suite = ElementTree.SubElement(root, "testsuite", {"name": tier})
        suite.attrib.update({name: str(count) for name, count in counts.items()})
        for finding in findings:
            name = {"classname": f"gate.{tier}", "name": _clean(finding.check)}
            case = ElementTree.SubElement(suite, "testcase", name)
            detail = _clean(told(finding))
            if finding.stands:
                about = {"type": finding.verdict, "message": detail}
                ElementTree.SubElement(case, "failure", about).text = detail
            elif finding.verdict == "skipped":
                ElementTree.SubElement(case, "skipped", {"message": detail})
            else:
                ElementTree.SubElement(case, "system-out").text = detail
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
