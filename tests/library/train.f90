! As train.cpp, by the Fortran module: for an MLP of 5 inputs, 16, 16 and 3 outputs.
module own
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real64
  use lockstep
  implicit none

  type :: bucket_state
    real(real64), allocatable :: velocity(:)
  end type
  type(bucket_state) :: states(0:63)

contains

  function squared_error(user, call) bind(c) result(status)
    type(c_ptr), value :: user
    type(lockstep_loss_call), intent(inout) :: call
    integer(c_int) :: status
    type(lockstep_array) :: output, gradient
    type(lockstep_array), pointer :: target
    real(real64), pointer :: y(:, :), t(:, :), dy(:, :)
    status = 0
    if (c_associated(user)) status = 1
    output = lockstep_array_at(call%outputs, 1)
    call c_f_pointer(call%targets, target)
    call c_f_pointer(output%data, y, [output%sizes(2), output%sizes(1)])
    call c_f_pointer(target%data, t, [output%sizes(2), output%sizes(1)])
    call%sum = sum((y - t)**2)
    call%weight = size(y)
    if (.not. c_associated(call%gradients)) return
    gradient = lockstep_array_at(call%gradients, 1)
    call c_f_pointer(gradient%data, dy, [output%sizes(2), output%sizes(1)])
    dy = 2 * (y - t)
  end function

  function momentum(user, call) bind(c) result(status)
    type(c_ptr), value :: user
    type(lockstep_bucket_call), intent(in) :: call
    integer(c_int) :: status
    real(real64), pointer :: values(:), gradients(:)
    status = 0
    if (c_associated(user)) status = 1
    call c_f_pointer(call%values, values, [call%length])
    call c_f_pointer(call%gradients, gradients, [call%length])
    associate (state => states(call%bucket))
      if (.not. allocated(state%velocity)) allocate (state%velocity(call%length), source=0.0_real64)
      state%velocity = 0.9_real64 * state%velocity + gradients
      values = values - call%learning_rate * state%velocity
    end associate
  end function

end module

program train
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi
  use lockstep
  use own
  implicit none

  type(lockstep_options) :: options
  type(lockstep_trainer) :: trainer
  type(lockstep_step_result) :: done
  real(real64), allocatable, target :: x(:, :), y(:, :)
  integer :: samples, inputs, outputs, steps, size, step, first, begin, finish, rank, ranks, i, cut, unit, ierror
  character(4096) :: text
  logical :: with_mpi

  samples = number(3)
  inputs = number(4)
  outputs = number(5)
  steps = number(6)
  size = number(7)
  with_mpi = argument(10) == "mpi"
  if (with_mpi) call MPI_Init(ierror)
  call options%new()
  call check(options%set("model", argument(1)))
  do i = 11, command_argument_count()
    text = argument(i)
    cut = index(text, "=")
    call check(options%set(text(:cut - 1), text(cut + 1:)))
  end do
  if (with_mpi) call check(options%communicator(MPI_COMM_WORLD))
  if (argument(9) == "loss" .or. argument(9) == "both") call check(options%loss(squared_error))
  if (argument(9) == "optimizer" .or. argument(9) == "both") call check(options%optimizer(momentum))
  if (trainer%new(options) /= lockstep_ok) call fail(options%error())
  call options%free()

  allocate (x(inputs, samples), y(outputs, samples))
  open (newunit=unit, file=trim(argument(2)), access="stream", form="unformatted", status="old")
  read (unit) x, y
  close (unit)
  rank = trainer%rank()
  ranks = trainer%ranks()
  do step = 0, steps - 1
    first = mod(step, samples / size) * size
    begin = first + size * rank * rank / (ranks * ranks) + 1
    finish = first + size * (rank + 1) * (rank + 1) / (ranks * ranks)
    if (trainer%step([lockstep_view(x(:, begin:finish))], lockstep_view(y(:, begin:finish)), result=done) /= lockstep_ok) then
      call fail(trainer%error())
    end if
  end do
  if (rank == 0) then
    print '("loss ", es24.16)', done%loss
    open (newunit=unit, file=trim(argument(8)), access="stream", form="unformatted", status="replace")
    call put("0.weight", [inputs, 16])
    call put("0.bias", [16])
    call put("2.weight", [16, 16])
    call put("2.bias", [16])
    call put("4.weight", [16, outputs])
    call put("4.bias", [outputs])
    close (unit)
  end if
  call trainer%free()
  if (with_mpi) call MPI_Finalize(ierror)

contains

  subroutine put(name, sizes)
    character(*), intent(in) :: name
    integer, intent(in) :: sizes(:)
    real(real64), allocatable, target :: vector(:), matrix(:, :)
    if (ubound(sizes, 1) == 1) then
      allocate (vector(sizes(1)))
      if (trainer%read(name, lockstep_view(vector)) /= lockstep_ok) call fail(trainer%error())
      write (unit) vector
    else
      allocate (matrix(sizes(1), sizes(2)))
      if (trainer%read(name, lockstep_view(matrix)) /= lockstep_ok) call fail(trainer%error())
      write (unit) matrix
    end if
  end subroutine

  function argument(place) result(value)
    integer, intent(in) :: place
    character(:), allocatable :: value
    character(4096) :: buffer
    call get_command_argument(place, buffer)
    value = trim(buffer)
  end function

  function number(place) result(value)
    integer, intent(in) :: place
    integer :: value
    character(:), allocatable :: digits
    digits = argument(place)
    read (digits, *) value
  end function

  subroutine check(status)
    integer, intent(in) :: status
    if (status /= lockstep_ok) call fail(options%error())
  end subroutine

  subroutine fail(message)
    character(*), intent(in) :: message
    print '(a)', message
    error stop 1
  end subroutine

end program
