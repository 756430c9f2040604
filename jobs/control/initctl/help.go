package initctl

import (
	"strings"

	"tend/jobs"
)

// help is the option --help.
func (p *program) help(string) error {
	p.opts.done = true
	var b strings.Builder
	if p.cmd == nil {
		b.WriteString("Usage: " + p.name + " [OPTION]... COMMAND [OPTION]... [ARG]...\nTalk to tend, the init of this container.\n")
		p.writeOptions(&b, nil)
		b.WriteString("\nFor a list of commands, try `" + p.name + " help'.\n")
	} else {
		name := p.name
		if name != p.cmd.name {
			name += " " + p.cmd.name
		}
		b.WriteString("Usage: " + strings.TrimRight(name+" [OPTION]... "+p.cmd.args, " ") + "\n" + p.cmd.summary + "\n")
		p.writeOptions(&b, p.cmd.options)
		if p.cmd.details != "" {
			b.WriteString("\n" + p.cmd.details + "\n")
		}
	}
	p.opts.quiet = false
	p.print(strings.TrimSuffix(b.String(), "\n"))
	return nil
}

// helpColumn is where the text of an option or command begins.
const helpColumn = 30

func (p *program) writeOptions(b *strings.Builder, table []*option) {
	b.WriteString("\nOptions:\n")
	for _, t := range [...][]*option{table, p.globals} {
		for _, o := range t {
			if o.help == "" {
				continue
			}
			line := "      "
			if o.short != 0 {
				line = "  -" + string(o.short)
				if o.long != "" {
					line += ", "
				}
			}
			if o.long != "" {
				line += "--" + o.long
			}
			switch {
			case o.arg != "" && o.long != "":
				line += "=" + o.arg
			case o.arg != "":
				line += " " + o.arg
			}
			writeEntry(b, line, o.help)
		}
	}
}

func writeEntry(b *strings.Builder, left, text string) {
	if len(left) >= helpColumn {
		b.WriteString(left + "\n")
		left = ""
	}
	b.WriteString(left + jobs.Fill(' ', helpColumn-len(left)) + text + "\n")
}

// listCommands is the command help.
func listCommands(p *program, _ []string) error {
	var b strings.Builder
	for g, title := range groups {
		b.WriteString(title + " commands:\n")
		for _, c := range p.commands {
			if c.group == group(g) {
				writeEntry(&b, "  "+c.name, c.summary)
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("For more information on a command, try `" + p.name + " COMMAND --help'.")
	p.print(b.String())
	return nil
}
