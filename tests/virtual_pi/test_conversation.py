"""Whole conversations: from the press to the last sample of the answer."""

from demolib import server

from pirig.pi import Pi


def test_every_sample_of_a_question_arrives_and_its_answer_is_heard(pi: Pi) -> None:
    pi.boot()
    question = pi.converse()
    found = pi.arrived(question)
    assert (found.lost, found.extra) == (0, 0)
    pi.kiosk.stop()
    pi.service.end()
    (connection,) = server.read(pi.record)
    (reply,) = connection.replies
    assert pi.heard(reply.samples, question.released_s) > 0.99
    pi.service.begin()
