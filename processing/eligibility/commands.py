"""`spk eligibility`: who may have a measure, why, and what follows from it."""

from __future__ import annotations

import cyclopts

from processing.eligibility import application_commands, people_commands, rule_commands

app = cyclopts.App(name="eligibility", help="Tell who may have a measure, and grant it.")

app.command(rule_commands.check)
app.command(rule_commands.explain)
app.command(rule_commands.try_rule, name="test")
app.command(rule_commands.diff)
app.command(rule_commands.publish)
app.command(rule_commands.approve_version, name="approve")
app.command(rule_commands.amount)
app.command(people_commands.why_person, name="why")
app.command(people_commands.candidates)
app.command(application_commands.run_events, name="run")
app.command(application_commands.approve_run)
app.command(application_commands.applications)
app.command(application_commands.trace)
app.command(application_commands.apply)
app.command(application_commands.submit)
app.command(application_commands.decide)
app.command(application_commands.refuse)
app.command(application_commands.withdraw)
app.command(application_commands.close_task)
app.command(application_commands.remind)
app.command(application_commands.every_day, name="daily")
