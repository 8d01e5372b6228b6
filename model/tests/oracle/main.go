// cron-oracle answers what two other libraries make of cron expressions: robfig/cron/v3, which Kubernetes reads a
// CronJob's schedule with, and gorhill/cronexpr, which the replaced system reads a job's cronExpr with.
//
//	cron-oracle questions robfig|gorhill    prints expressions to ask about, always the same ones
//	cron-oracle                             reads questions, or answers of before, and prints them with answers
//
// A line of questions is an expression; in answers a tab follows, and then either "error" or "panic", "dies" where the
// process ends for lack of stack, or the next five instants, each as the seconds after the one before it, with "end"
// where there is no further one. A line that begins with "= " says for those below it which library is asked, in which zone, and the instant after which the first one is
// looked for. Lines that begin with "// " are kept as they are.
package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/gorhill/cronexpr"
	"github.com/robfig/cron/v3"
)

const instants = 5

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	if len(os.Args) == 3 && os.Args[1] == "questions" {
		questions(out, os.Args[2])
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "child" {
		child()
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	var place string
	var asked asked
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "= "):
			place = line
			fmt.Fprintln(out, line)
		case strings.HasPrefix(line, "// "):
			fmt.Fprintln(out, line)
		default:
			text, _, _ := strings.Cut(line, "\t")
			fmt.Fprintf(out, "%s\t%s\n", text, asked.ask(place, text))
		}
	}
	if err := lines.Err(); err != nil {
		fatal(err)
	}
}

// A process of its own that answers, since a library that is out of stack takes its process with it.
type asked struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func (a *asked) ask(place, text string) string {
	if a.in == nil {
		command := exec.Command(os.Args[0], "child")
		in, err := command.StdinPipe()
		if err != nil {
			fatal(err)
		}
		out, err := command.StdoutPipe()
		if err != nil {
			fatal(err)
		}
		if err := command.Start(); err != nil {
			fatal(err)
		}
		a.in, a.out = in, bufio.NewReader(out)
	}
	fmt.Fprintf(a.in, "%s\t%s\n", place, text)
	answer, err := a.out.ReadString('\n')
	if err != nil {
		a.in.Close()
		a.in = nil
		return "dies"
	}
	return strings.TrimSuffix(answer, "\n")
}

func child() {
	debug.SetMaxStack(8 << 20)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		place, text, _ := strings.Cut(lines.Text(), "\t")
		words := strings.Fields(place)
		zone, err := time.LoadLocation(words[2])
		if err != nil {
			fatal(err)
		}
		start, err := time.Parse(time.RFC3339, words[3])
		if err != nil {
			fatal(err)
		}
		fmt.Println(answer(words[1], text, start.In(zone)))
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "cron-oracle:", err)
	os.Exit(1)
}

func answer(library, text string, start time.Time) (said string) {
	defer func() {
		if recover() != nil {
			said = "panic"
		}
	}()
	var schedule interface{ Next(time.Time) time.Time }
	var err error
	if library == "gorhill" {
		schedule, err = cronexpr.Parse(text)
	} else {
		schedule, err = cron.ParseStandard(text)
	}
	if err != nil {
		return "error"
	}
	var words []string
	for last := start; len(words) < instants; {
		next := schedule.Next(last)
		if next.IsZero() {
			words = append(words, "end")
			break
		}
		words = append(words, fmt.Sprint(next.Unix()-last.Unix()))
		last = next
	}
	return strings.Join(words, " ")
}

// Expressions, by chance from a seed that stays the same.
type chance struct {
	*rand.Rand
	legacy bool
}

func questions(out *bufio.Writer, library string) {
	c := chance{rand.New(rand.NewSource(20260101)), library == "gorhill"}
	ask := func(zone, start string, count int) {
		fmt.Fprintln(out, "=", library, zone, start)
		for range count {
			text := c.expression()
			if zone == "UTC" && c.Intn(8) == 0 {
				text = c.slip(text)
			}
			fmt.Fprintln(out, text)
		}
	}
	for _, start := range []string{
		"2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z", "2027-07-15T12:34:56Z", "2028-02-28T23:59:30Z", "2030-04-30T22:00:01Z",
	} {
		ask("UTC", start, 800)
	}
	for _, place := range [][2]string{
		{"Europe/Paris", "2026-03-28T20:00:00Z"}, {"Europe/Paris", "2026-10-24T20:00:00Z"},
		{"America/New_York", "2027-03-13T20:00:00Z"}, {"America/New_York", "2027-11-06T20:00:00Z"},
		{"Australia/Lord_Howe", "2026-10-03T10:00:00Z"}, {"Australia/Lord_Howe", "2027-04-03T10:00:00Z"},
		{"Antarctica/Troll", "2026-03-28T20:00:00Z"}, {"Antarctica/Troll", "2026-10-24T20:00:00Z"},
		{"Asia/Kathmandu", "2026-06-01T00:00:00Z"},
	} {
		ask(place[0], place[1], 150)
	}
}

func (c chance) expression() string {
	if c.Intn(40) == 0 {
		macros := []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@reboot"}
		return macros[c.Intn(len(macros))]
	}
	fields := []string{c.list(0, 59, nil), c.list(0, 23, nil), c.daysOfMonth(), c.list(1, 12, months), c.daysOfWeek()}
	if c.legacy {
		years := "*"
		if c.Intn(4) == 0 {
			years = c.list(2020, 2035, nil)
		}
		switch c.Intn(3) {
		case 0:
			fields = append(fields, years)
		case 1:
			fields = append(append([]string{c.list(0, 59, nil)}, fields...), years)
		}
	}
	return strings.Join(fields, " ")
}

var (
	months   = strings.Fields("JAN feb Mar APR may Jun JUL aug Sep OCT nov Dec")
	weekdays = strings.Fields("SUN mon Tue WED thu Fri SAT")
)

func (c chance) list(low, high int, names []string) string {
	entries := []string{c.entry(low, high, names)}
	for c.Intn(4) == 0 {
		entries = append(entries, c.entry(low, high, names))
	}
	return strings.Join(entries, ",")
}

func (c chance) entry(low, high int, names []string) string {
	value := func() int { return low + c.Intn(high-low+1) }
	text := func(value int) string {
		if names != nil && c.Intn(2) == 0 {
			return names[value-low]
		}
		if c.Intn(12) == 0 {
			return fmt.Sprintf("%02d", value)
		}
		return fmt.Sprint(value)
	}
	a, b := value(), value()
	if a > b && c.Intn(8) != 0 {
		a, b = b, a
	}
	step := 1 + c.Intn(high-low)
	if low > 1000 {
		step = 1 + c.Intn(5)
	}
	switch c.Intn(10) {
	case 0, 1:
		return "*"
	case 2:
		return fmt.Sprintf("*/%d", step)
	case 3:
		return fmt.Sprintf("%s-%s", text(a), text(b))
	case 4:
		return fmt.Sprintf("%s-%s/%d", text(a), text(b), step)
	case 5:
		return fmt.Sprintf("%s/%d", text(a), step)
	default:
		return text(a)
	}
}

func (c chance) daysOfMonth() string {
	switch c.Intn(8) {
	case 0, 1, 2:
		return "*"
	case 3:
		return "?"
	case 4:
		if c.legacy {
			return c.special([]string{"L", "LW", "l", fmt.Sprintf("%dW", 1+c.Intn(31)), fmt.Sprintf("%dw", 1+c.Intn(31))}, 1, 31, nil)
		}
	}
	return c.list(1, 31, nil)
}

func (c chance) daysOfWeek() string {
	switch c.Intn(8) {
	case 0, 1, 2:
		return "*"
	case 3:
		return "?"
	case 4:
		if c.legacy {
			day := fmt.Sprint(c.Intn(8))
			if c.Intn(2) == 0 {
				day = weekdays[c.Intn(7)]
			}
			return c.special([]string{day + "L", fmt.Sprintf("%s#%d", day, 1+c.Intn(5))}, 0, 6, weekdays)
		}
	}
	return c.list(0, 6, weekdays)
}

func (c chance) special(forms []string, low, high int, names []string) string {
	form := forms[c.Intn(len(forms))]
	if c.Intn(3) == 0 {
		return form + "," + c.entry(low, high, names)
	}
	return form
}

// The text with one slip of the keyboard in it.
func (c chance) slip(text string) string {
	const keys = "0123456789*/,-?LWH#@SUN +()."
	at := c.Intn(len(text))
	key := string(keys[c.Intn(len(keys))])
	switch c.Intn(3) {
	case 0:
		return text[:at] + text[at+1:]
	case 1:
		return text[:at] + key + text[at:]
	default:
		return text[:at] + key + text[at+1:]
	}
}
